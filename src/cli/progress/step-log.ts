/** A line that a step wrote, `seconds` after the step started. */
export interface LogLine {
  readonly seconds: number;
  readonly text: string;
}

const keptLines = 5_000;

interface Side {
  readonly decoder: InstanceType<typeof TextDecoder>;
  /** The line that has no line feed yet. */
  open?: LogLine;
}

/** The output of one step, cut into lines. Keeps the last 5,000 lines, and every line that nobody has taken yet. */
export class StepLog {
  readonly #sides = new Map<number, Side>();
  #lines: LogLine[] = [];
  #taken = 0;
  #dropped = 0;
  #bytes = 0;

  /** Adds a piece of output of a stream; a line ends at its line feed, in whichever piece that comes. */
  add(stream: number, data: Uint8Array, seconds: number): void {
    const side: Side = this.#sides.get(stream) ?? { decoder: new TextDecoder() };
    this.#sides.set(stream, side);
    this.#bytes += data.length;
    const parts = side.decoder.decode(data, { stream: true }).split('\n');
    for (const [index, part] of parts.entries()) {
      const line = side.open ? { ...side.open, text: side.open.text + part } : { seconds, text: part };
      const ended = index < parts.length - 1;
      side.open = ended || line.text === '' ? undefined : line;
      if (ended) this.#push(line);
    }
  }

  /** Ends the lines that have no line feed yet. */
  endOpenLines(): void {
    for (const side of this.#sides.values()) {
      const rest = side.decoder.decode();
      const line = side.open ?? (rest ? { seconds: 0, text: '' } : undefined);
      side.open = undefined;
      if (line) this.#push({ ...line, text: line.text + rest });
    }
  }

  #push(line: LogLine): void {
    this.#lines.push(line.text.endsWith('\r') ? { ...line, text: line.text.slice(0, -1) } : line);
    const cut = Math.min(this.#lines.length - keptLines, this.#taken);
    // Many at once: each cut copies what stays.
    if (cut < Math.max(keptLines, this.#lines.length / 2)) return;
    this.#lines = this.#lines.slice(cut);
    this.#taken -= cut;
    this.#dropped += cut;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get hasOpenLine(): boolean {
    return this.#sides.values().some((side) => side.open !== undefined);
  }

  /** The lines that were not taken before. */
  take(): readonly LogLine[] {
    const lines = this.#lines.slice(this.#taken);
    this.#taken = this.#lines.length;
    return lines;
  }

  get untaken(): number {
    return this.#lines.length - this.#taken;
  }

  /** The last lines, open ones included, and how many came before them. */
  tail(count: number): { readonly lines: readonly LogLine[]; readonly earlier: number } {
    const open = [...this.#sides.values()].flatMap((side) => side.open ?? []);
    const all = this.#lines.slice(-count).concat(open);
    const lines = count > 0 ? all.slice(-count) : [];
    return { lines, earlier: this.#dropped + this.#lines.length + open.length - lines.length };
  }
}
