/** The editors are heavy: on the first page they wait until the data had its turn. */

const firstPage = 3000;

export function afterData<T>(load: () => Promise<T>): Promise<T> {
  if (performance.now() > firstPage || typeof requestIdleCallback !== 'function') return load();
  return new Promise((resolve, reject) => {
    setTimeout(() => requestIdleCallback(() => void load().then(resolve, reject), { timeout: 500 }), 250);
  });
}
