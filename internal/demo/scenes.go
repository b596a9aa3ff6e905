package demo

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// scene is one kind of request that customers send.
type scene struct {
	weight int
	plan   func(*request)
}

// scenes is what customers do and how often.
//
//nolint:gochecknoglobals // read-only table
var scenes = []scene{
	{30, (*request).home},
	{33, (*request).product},
	{12, (*request).viewCart},
	{12, (*request).addToCart},
	{9, (*request).checkout},
	{4, (*request).lost},
}

// products is what the shop sells.
//
//nolint:gochecknoglobals // read-only table
var products = []struct {
	id, name string
	price    float64
}{
	{"OLJCESPC7Z", "Vintage lamp", 67.99},
	{"66VCHSJNUP", "Tank top", 18.99},
	{"1YMWWN1N4O", "Watch", 109.99},
	{"L9ECAV7KIM", "Loafers", 89.99},
	{"2ZYFJ3GM2N", "Hairdryer", 24.99},
	{"0PUK6V6EV0", "Candle holder", 18.49},
	{"LS4PSXUNUM", "Salt shaker", 18.49},
	{"9SIQT8TOJO", "Bamboo jar", 5.49},
	{"6E92ZMYYFZ", "Mug", 8.99},
}

// enter plans what every request passes: the web front end, then the API gateway with its
// access log. body is the gateway's work and returns the status.
func (r *request) enter(method, route, target string, body func(gateway *op) int) {
	r.root = r.httpServer(nil, svcFrontend, method, route, target, func(web *op) int {
		r.step(web, "render", 4*time.Millisecond, attribute.String("template", route), attribute.Bool("cache.hit", r.shop.rng.IntN(3) > 0))
		return r.http(web, svcAPI, method, "/api"+route, "/api"+target, func(gw *op) int {
			began := r.now
			status := body(gw)
			level := log.SeverityInfo
			if status >= 500 {
				level = log.SeverityError
			} else if status >= 400 {
				level = log.SeverityWarn
			}
			r.logFile(gw, level, fmt.Sprintf("%s %s %d", method, "/api"+target, status),
				attribute.String("method", method), attribute.String("endpoint", "/api"+route), attribute.String("path", "/api"+target),
				attribute.Int("status_code", status), attribute.Int64("duration_ms", (r.now-began).Milliseconds()),
				attribute.String("client_ip", r.user.ip), attribute.String("user_id", r.user.id))
			return status
		})
	})
}

func (r *request) home() {
	r.enter("GET", "/", "/", func(gw *op) int {
		r.authenticate(gw)
		if r.rpc(gw, svcCatalog, "shop.Catalog", "ListProducts", func(s *op) int {
			r.db(s, "postgresql", "SELECT", "products", "SELECT id, name, price_cents FROM products WHERE active ORDER BY rank LIMIT $1", 6*time.Millisecond)
			r.step(s, "serialize", time.Millisecond, attribute.Int("products", len(products)))
			return grpcOK
		}) != grpcOK {
			return 502
		}
		return 200
	})
}

func (r *request) product() {
	p := products[r.shop.rng.IntN(len(products))]
	r.enter("GET", "/products/{id}", "/products/"+p.id, func(gw *op) int {
		r.authenticate(gw)
		code := r.rpc(gw, svcCatalog, "shop.Catalog", "GetProduct", func(s *op) int {
			s.attrs = append(s.attrs, attribute.String("app.product.id", p.id), attribute.String("app.product.name", p.name))
			r.db(s, "postgresql", "SELECT", "products", "SELECT id, name, description, price_cents FROM products WHERE id = $1", 3*time.Millisecond)
			if r.shop.rng.Float64() < 0.012 {
				r.fail(s, "CatalogError", "recommendation index is being rebuilt", "\tat catalog.(*Server).GetProduct(catalog.go:118)")
				r.logJSON(s, log.SeverityError, "recommendation index is being rebuilt", attribute.String("product_id", p.id), attribute.String("error", "index locked"))
				return grpcUnavailable
			}
			return grpcOK
		})
		if code != grpcOK {
			return 503
		}
		r.rpc(gw, svcInventory, "shop.Inventory", "GetStock", func(s *op) int {
			r.db(s, "postgresql", "SELECT", "stock", "SELECT warehouse, quantity FROM stock WHERE product_id = $1", 4*time.Millisecond)
			if r.shop.rng.IntN(40) == 0 {
				r.log(s, log.SeverityWarn, "stock of "+p.id+" is low", attribute.String("product_id", p.id), attribute.Int("quantity", r.shop.rng.IntN(5)))
			}
			return grpcOK
		})
		return 200
	})
}

func (r *request) viewCart() {
	r.enter("GET", "/cart", "/cart", func(gw *op) int {
		r.authenticate(gw)
		r.http(gw, svcCart, "GET", "/carts/{user}", "/carts/"+r.user.id, func(s *op) int {
			r.db(s, "redis", "HGETALL", "cart", "HGETALL cart:"+r.user.id, 700*time.Microsecond)
			return 200
		})
		return 200
	})
}

func (r *request) addToCart() {
	p := products[r.shop.rng.IntN(len(products))]
	quantity := 1 + r.shop.rng.IntN(4)
	r.enter("POST", "/cart", "/cart", func(gw *op) int {
		r.authenticate(gw)
		return r.http(gw, svcCart, "POST", "/carts/{user}", "/carts/"+r.user.id, func(s *op) int {
			s.attrs = append(s.attrs, attribute.String("app.product.id", p.id), attribute.Int("app.quantity", quantity))
			r.rpc(s, svcInventory, "shop.Inventory", "GetStock", func(i *op) int {
				r.db(i, "postgresql", "SELECT", "stock", "SELECT warehouse, quantity FROM stock WHERE product_id = $1", 4*time.Millisecond)
				return grpcOK
			})
			r.db(s, "redis", "HSET", "cart", "HSET cart:"+r.user.id+" "+p.id+" ?", 800*time.Microsecond)
			r.db(s, "redis", "EXPIRE", "cart", "EXPIRE cart:"+r.user.id+" 86400", 500*time.Microsecond)
			r.log(s, log.SeverityInfo, fmt.Sprintf("added %d x %s to cart of %s", quantity, p.id, r.user.id))
			r.shop.state.carted++
			return 201
		})
	})
}

// lost is a customer with a broken link.
func (r *request) lost() {
	r.enter("GET", "/products/{id}", "/products/DISCONTINUED", func(gw *op) int {
		r.rpc(gw, svcCatalog, "shop.Catalog", "GetProduct", func(s *op) int {
			r.db(s, "postgresql", "SELECT", "products", "SELECT id, name, description, price_cents FROM products WHERE id = $1", 3*time.Millisecond)
			r.log(s, log.SeverityWarn, "no product DISCONTINUED")
			return grpcNotFound
		})
		return 404
	})
}

// authenticate plans the session check that the gateway makes.
func (r *request) authenticate(gw *op) {
	n := r.step(gw, "authenticate", 500*time.Microsecond, attribute.String("auth.method", "session"), attribute.String("enduser.id", r.user.id))
	r.db(n, "redis", "GET", "session", "GET session:"+r.user.session, 500*time.Microsecond)
	r.close(n)
}

// order is what a checkout is about.
type order struct {
	id     string
	items  int
	amount float64
}

func (r *request) checkout() {
	o := order{id: fmt.Sprintf("ord_%08x", r.shop.rng.Uint32()), items: 1 + r.shop.rng.IntN(5)}
	for range o.items {
		o.amount += products[r.shop.rng.IntN(len(products))].price
	}
	r.enter("POST", "/checkout", "/checkout", func(gw *op) int {
		r.authenticate(gw)
		return r.http(gw, svcCheckout, "POST", "/orders", "/orders", func(c *op) int {
			c.attrs = append(c.attrs, attribute.String("app.order.id", o.id), attribute.Float64("app.order.amount", o.amount),
				attribute.String("app.order.currency", r.user.currency), attribute.Int("app.order.items", o.items))
			return r.placeOrder(c, o)
		})
	})
}

// placeOrder plans the work of the checkout service.
func (r *request) placeOrder(c *op, o order) int {
	fields := []attribute.KeyValue{
		attribute.String("order_id", o.id), attribute.String("user_id", r.user.id), attribute.Int("items", o.items),
		attribute.Float64("amount", o.amount), attribute.String("currency", r.user.currency),
	}
	r.logJSON(c, log.SeverityInfo, "placing order", fields...)
	prepare := r.open(c, op{svc: c.svc, kind: trace.SpanKindInternal, name: "prepare order", attrs: []attribute.KeyValue{attribute.String("app.order.id", o.id)}})
	r.http(prepare, svcCart, "GET", "/carts/{user}", "/carts/"+r.user.id, func(s *op) int {
		r.db(s, "redis", "HGETALL", "cart", "HGETALL cart:"+r.user.id, 700*time.Microsecond)
		return 200
	})
	fork := r.now // stock and prices are asked for at the same time
	r.rpc(prepare, svcInventory, "shop.Inventory", "Reserve", func(s *op) int {
		r.db(s, "postgresql", "UPDATE", "stock", "UPDATE stock SET reserved = reserved + $1 WHERE product_id = $2 AND quantity - reserved >= $1", 9*time.Millisecond)
		return grpcOK
	})
	joined := r.now
	r.now = fork
	r.rpc(prepare, svcCatalog, "shop.Catalog", "GetPrices", func(s *op) int {
		r.db(s, "postgresql", "SELECT", "prices", "SELECT product_id, cents, currency FROM prices WHERE product_id = ANY($1)", 5*time.Millisecond)
		return grpcOK
	})
	r.now = max(r.now, joined)
	r.close(prepare)

	if status := r.charge(c, o); status != 200 {
		r.fail(c, "PaymentError", fmt.Sprintf("charge order %s: payment answered %s", o.id, httpText(status)),
			"\tat checkout.(*Service).PlaceOrder(order.go:204)\n\tat checkout.(*Server).handleOrders(server.go:88)")
		r.logFile(c, log.SeverityError, "order failed: payment error", append(fields, attribute.Int("status_code", status), attribute.String("error", httpText(status)))...)
		r.logJSON(c, log.SeverityError, "order failed: payment error", append(fields, attribute.Int("payment_status", status))...)
		r.shop.state.failed++
		if status == 402 {
			return 402
		}
		return 503
	}
	r.rpc(c, svcShipping, "shop.Shipping", "GetQuote", func(s *op) int {
		r.step(s, "compute quote", 3*time.Millisecond, attribute.String("shipping.country", "DE"), attribute.Int("shipping.parcels", 1+o.items/3))
		return grpcOK
	})
	p := r.produce(c, "orders", o.id)
	r.logFile(c, log.SeverityInfo, "order placed", append(fields, attribute.Int("status_code", 201))...)
	r.logJSON(c, log.SeverityInfo, "order placed", fields...)
	r.shop.state.placed[r.user.currency]++
	r.shop.state.revenue[r.user.currency] += o.amount
	answered := r.now
	r.consume(p, svcShipping, "orders", false, func(n *op) {
		r.db(n, "postgresql", "INSERT", "parcels", "INSERT INTO parcels (order_id, carrier, weight_g) VALUES ($1, $2, $3)", 5*time.Millisecond)
		r.log(n, log.SeverityInfo, "parcel booked for "+o.id, attribute.String("order_id", o.id), attribute.String("carrier", "parcelforce"))
	})
	r.consume(p, svcEmail, "orders", true, func(n *op) { r.confirm(n, o) })
	r.now = answered
	return 201
}

// confirm plans the confirmation mail.
func (r *request) confirm(n *op, o order) {
	r.step(n, "render mail", 6*time.Millisecond, attribute.String("mail.template", "order_confirmation"), attribute.String("email", r.user.id+"@example.com"))
	send := r.step(n, "smtp send", 35*time.Millisecond, attribute.String("server.address", "smtp.internal"), attribute.Int("server.port", 25))
	if r.shop.rng.Float64() < 0.02 {
		r.fail(send, "SMTPError", "451 4.7.1 greylisted, try again later", "\tat email.send(send.js:41)")
		n.failed = "mail not sent"
		r.log(n, log.SeverityError, "level=error msg=\"mail not sent\" order="+o.id+" reason=greylisted")
		return
	}
	r.log(n, log.SeverityInfo, "level=info msg=\"mail sent\" order="+o.id)
}

// charge plans the payment and returns the status that the payment service answered.
func (r *request) charge(c *op, o order) int {
	return r.http(c, svcPayment, "POST", "/charges", "/charges", func(p *op) int {
		p.attrs = append(p.attrs, attribute.Float64("payment.amount", o.amount), attribute.String("payment.currency", r.user.currency), attribute.String("payment.method", "card"))
		process := r.open(p, op{svc: p.svc, kind: trace.SpanKindInternal, name: "process_payment", attrs: []attribute.KeyValue{
			attribute.Float64("payment.amount", o.amount), attribute.String("payment.currency", r.user.currency), attribute.String("payment.provider", "acme-pay"),
		}})
		defer func() { r.close(process) }()
		took, limit := 7*time.Millisecond, 3*time.Second
		if r.shop.faulty {
			took = 2200 * time.Millisecond
			r.slow = true
		}
		q := r.db(process, "mysql", "SELECT", "accounts", "SELECT balance, currency FROM accounts WHERE user_id = ? FOR UPDATE", took)
		if r.now-q.start > limit {
			r.now = q.start + limit
			q.end = r.now
			r.clip(q)
			r.fail(q, "MySQLError", "Error 1205 (HY000): Lock wait timeout exceeded; try restarting transaction", "\tat payment.(*Ledger).Lock(ledger.go:77)")
			r.fail(process, "PaymentError", "lock account: "+q.failed, "\tat payment.(*Service).Charge(charge.go:51)")
			r.logJSON(process, log.SeverityError, "charge failed: database timeout", attribute.String("order_id", o.id), attribute.String("error", q.failed), attribute.Int64("duration_ms", limit.Milliseconds()))
			return 504
		}
		if r.shop.rng.Float64() < 0.03 {
			r.fail(process, "CardDeclined", "card declined by issuer: do_not_honor", "\tat payment.(*Gateway).Charge(gateway.go:133)")
			r.log(process, log.SeverityWarn, "card declined by issuer", attribute.String("order_id", o.id), attribute.String("reason", "do_not_honor"))
			return 402
		}
		if r.shop.rng.Float64() < 0.015 {
			r.fail(process, "GatewayError", "read from acme-pay: connection reset by peer", "\tat payment.(*Gateway).Charge(gateway.go:121)")
			r.log(process, log.SeverityError, "read from acme-pay: connection reset by peer", attribute.String("order_id", o.id))
			return 502
		}
		process.events = append(process.events, event{at: r.now, name: "authorized", attrs: []attribute.KeyValue{attribute.String("payment.auth_code", fmt.Sprintf("A%05d", r.shop.rng.IntN(100000)))}})
		r.db(process, "mysql", "INSERT", "charges", "INSERT INTO charges (order_id, amount_cents, currency, state) VALUES (?, ?, ?, 'captured')", 8*time.Millisecond)
		r.logJSON(process, log.SeverityInfo, "charge captured", attribute.String("order_id", o.id), attribute.Float64("amount", o.amount))
		return 200
	})
}

// clip moves what happened in n after its end back to its end.
func (r *request) clip(n *op) {
	for i := range n.events {
		n.events[i].at = min(n.events[i].at, n.end)
	}
	for i := range n.logs {
		n.logs[i].at = min(n.logs[i].at, n.end)
	}
}
