// What the feed tells of, and what a list becomes by it.

export interface Desk {
  id: string;
  name: string;
  status: 'AVAILABLE' | 'OCCUPIED' | 'RESERVED' | 'MAINTENANCE';
}

export interface Feed {
  kind: 'SNAPSHOT' | 'CHANGES' | 'RESYNC' | 'PROGRESS';
  cursor: string;
  complete: boolean;
  removed: string[];
  workstations: Desk[];
}

export class Desks {
  /** Where a new subscription goes on. */
  cursor: string | null = null;
  #shown = new Map<string, Desk>();
  #parts: Map<string, Desk> | null = null; // of a snapshot that is still arriving

  /** Takes a payload in. False: it is a part of a snapshot, and there are more to come. */
  take(feed: Feed): boolean {
    if (feed.kind === 'SNAPSHOT' || feed.kind === 'RESYNC') {
      this.#parts = merged(this.#parts ?? new Map(), feed);
      if (!feed.complete) return false;
      this.#shown = this.#parts;
      this.#parts = null;
    } else {
      merged(this.#shown, feed);
    }
    this.cursor = feed.cursor;
    return true;
  }

  /** Forgets the parts of a snapshot whose other parts will not come. */
  cutOff(): void {
    this.#parts = null;
  }

  byName(): Desk[] {
    return [...this.#shown.values()].sort((one, other) => ORDER.compare(one.name, other.name));
  }
}

const ORDER = new Intl.Collator(undefined, { numeric: true });

function merged(desks: Map<string, Desk>, feed: Feed): Map<string, Desk> {
  for (const gone of feed.removed) desks.delete(gone);
  for (const desk of feed.workstations) desks.set(desk.id, desk);
  return desks;
}
