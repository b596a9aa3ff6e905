/** Configuration snippets that keep something out, ready to paste. */

const yamlText = (s: string) => JSON.stringify(s);

/** A regular expression of Prometheus that matches exactly the text. */
const literal = (s: string) => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Drops a whole metric when it is scraped. */
export function dropMetric(name: string): string {
  return `metric_relabel_configs:
  - source_labels: [__name__]
    regex: ${yamlText(literal(name))}
    action: drop
`;
}

/** Removes a label; series that differ in nothing else become one. */
export function dropLabel(label: string): string {
  return `metric_relabel_configs:
  - regex: ${yamlText(literal(label))}
    action: labeldrop
`;
}

/** Drops the series that have a label with a value, of one metric or of all. */
export function dropPair(label: string, value: string, metric?: string): string {
  const [labels, regex] = metric && label !== '__name__' ? [`[__name__, ${label}]`, `${literal(metric)};${literal(value)}`] : [`[${label}]`, literal(value)];
  return `metric_relabel_configs:
  - source_labels: ${labels}
    regex: ${yamlText(regex)}
    action: drop
`;
}

/** Stops a label from splitting log streams; its value stays with each line. */
export function demoteStreamLabel(label: string): string {
  return `# Promtail, Grafana Alloy: keep the value with the line instead of the stream
pipeline_stages:
  - structured_metadata:
      ${label}:
  - labeldrop:
      - ${label}
`;
}

/** Drops the lines of a stream label's value. */
export function dropStream(label: string, value: string): string {
  return `pipeline_stages:
  - match:
      selector: '{${label}=${yamlText(value)}}'
      action: drop
`;
}

/** Removes an attribute from spans or resources in an OpenTelemetry Collector. */
export function dropAttribute(scope: string, name: string): string {
  const context = scope === 'resource' ? 'resource' : scope === 'event' ? 'spanevent' : 'span';
  return `processors:
  transform/drop:
    trace_statements:
      - context: ${context}
        statements:
          - delete_key(attributes, ${yamlText(name)})
`;
}
