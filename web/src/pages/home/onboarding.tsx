/** Snippets filled with this host, each with a light that turns green when its signal arrives. */
import { useState } from 'react';
import type { JSX } from 'react';
import type { Signal, Status } from '@/core/api/pharos';
import { count } from '@/core/units/units';
import { CopyButton, Tabs } from '@/ui/kit';

interface Snippet {
  id: string;
  label: string;
  signals: Signal[];
  blocks: { title: string; text: string }[];
}

function snippets(origin: string, host: string): Snippet[] {
  return [
    {
      id: 'otlp',
      label: 'OpenTelemetry',
      signals: ['metrics', 'logs', 'traces'],
      blocks: [
        {
          title: 'Any OpenTelemetry SDK, by environment',
          text: `export OTEL_EXPORTER_OTLP_ENDPOINT=${origin}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nexport OTEL_SERVICE_NAME=my-service`,
        },
        {
          title: 'OpenTelemetry Collector',
          text: `exporters:\n  otlphttp/pharos:\n    endpoint: ${origin}\n\nservice:\n  pipelines:\n    traces:  { receivers: [otlp], exporters: [otlphttp/pharos] }\n    metrics: { receivers: [otlp], exporters: [otlphttp/pharos] }\n    logs:    { receivers: [otlp], exporters: [otlphttp/pharos] }`,
        },
      ],
    },
    {
      id: 'prometheus',
      label: 'Prometheus',
      signals: ['metrics'],
      blocks: [
        { title: 'prometheus.yml: remote write', text: `remote_write:\n  - url: ${origin}/api/v1/write\n    send_exemplars: true` },
        {
          title: 'Pharos scrapes: pipeline in its configuration file',
          text: `pipeline:\n  receivers:\n    prometheus:\n      config:\n        scrape_configs:\n          - job_name: node\n            scrape_interval: 15s\n            static_configs:\n              - targets: ["${host}:9100"]\n  exporters:\n    pharos: {}\n  service:\n    pipelines:\n      metrics: { receivers: [prometheus], exporters: [pharos] }`,
        },
      ],
    },
    {
      id: 'loki',
      label: 'Loki',
      signals: ['logs'],
      blocks: [
        {
          title: 'One line with curl',
          text: `curl -X POST ${origin}/loki/api/v1/push \\\n  -H 'Content-Type: application/json' \\\n  -d '{"streams":[{"stream":{"service_name":"hello"},"values":[["'$(date +%s%N)'","hello from curl"]]}]}'`,
        },
        { title: 'Promtail or Alloy', text: `clients:\n  - url: ${origin}/loki/api/v1/push` },
      ],
    },
  ];
}

const unit: Record<Signal, string> = { metrics: 'samples', logs: 'lines', traces: 'spans' };

export function Onboarding({ status }: { status: Status | undefined }): JSX.Element {
  const [tab, setTab] = useState('otlp');
  const list = snippets(location.origin, location.hostname);
  const chosen = list.find((s) => s.id === tab) ?? list[0]!;
  return (
    <section className="panel onboarding" aria-label="Send data" data-testid="onboarding">
      <Tabs label="Ways to send data" value={tab} onChange={setTab} tabs={list.map((s) => ({ id: s.id, label: s.label }))} />
      <div className="lights" aria-live="polite">
        {chosen.signals.map((id) => {
          const n = status?.signals[id]?.received_total ?? 0;
          return (
            <span key={id} className="light" data-on={n > 0 || undefined}>
              <span className="dot" data-s={n > 0 ? 'ok' : undefined} />
              <b>{id}</b>
              <span className="num">{n > 0 ? `${count(n)} ${unit[id]} received` : 'waiting… 0 received'}</span>
            </span>
          );
        })}
      </div>
      <div className="blocks">
        {chosen.blocks.map((b) => (
          <figure key={b.title}>
            <figcaption className="row">
              <span className="grow">{b.title}</span>
              <CopyButton text={b.text} label={`Copy: ${b.title}`}>
                Copy
              </CopyButton>
            </figcaption>
            <pre tabIndex={0}>{b.text}</pre>
          </figure>
        ))}
      </div>
    </section>
  );
}
