/** Forms that stand for a text keep parts that are not in the text yet, such as a filter without a value. */
import { useState } from 'react';

/** The form to show is the one being filled in as long as it writes the same text as the given one. */
export function useHalfFilled<F>(given: F, format: (f: F) => string, onChange: (f: F) => void, onRun: (f: F) => void): { form: F; onChange: (f: F) => void; onRun: (f: F) => void } {
  const [mine, setMine] = useState(given);
  return {
    form: format(mine) === format(given) ? mine : given,
    onChange: (f) => {
      setMine(f);
      onChange(f);
    },
    onRun: (f) => {
      setMine(f);
      onRun(f);
    },
  };
}
