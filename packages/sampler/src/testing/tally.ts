/** Worst error over tolerance per class, as the table "class × cases × worst error / tolerance". */
export interface Tally {
  add(name: string, ratios: { readonly step?: number; readonly closed?: number; readonly schedule?: number }): void;
  table(): string;
}

/** A new table. */
export function tally(title: string): Tally {
  const rows = new Map<string, { cases: number; step: number; closed: number; schedule: number }>();
  const text = (v: number): string => (v < 0 ? '—' : v.toFixed(3));
  return {
    add(name, { step = -1, closed = -1, schedule = -1 }) {
      const row = rows.get(name) ?? { cases: 0, step: -1, closed: -1, schedule: -1 };
      rows.set(name, { cases: row.cases + 1, step: Math.max(row.step, step), closed: Math.max(row.closed, closed), schedule: Math.max(row.schedule, schedule) });
    },
    table() {
      const total = [...rows.values()].reduce((sum, { cases }) => sum + cases, 0);
      const lines = [...rows].map(([name, r]) => `${name.padEnd(36)}${String(r.cases).padStart(5)}${text(r.schedule).padStart(10)}${text(r.step).padStart(10)}${text(r.closed).padStart(12)}`);
      const head = `${'class (worst error / tolerance)'.padEnd(36)}cases  schedule  per step closed loop`;
      return [`${title}: ${total} cases`, head, ...lines].join('\n');
    },
  };
}
