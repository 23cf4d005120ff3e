const cell = { cancelled: 0, begun: 1, loaded: 2, count: 3 } as const;
/** Values of the cell `begun`. */
const begun = { no: 0, yes: 1, never: 2 } as const;

/** What the caller of a task and the thread that runs it tell each other while neither reads messages: a few integers in shared memory. */
export class TaskState {
  /** What is sent to the thread, which makes a `TaskState` of it again. */
  readonly cells: Int32Array<SharedArrayBuffer>;

  constructor(cells = new Int32Array(new SharedArrayBuffer(4 * cell.count))) {
    this.cells = cells;
  }

  /** Said by the caller: the task is to end. */
  cancel(): void {
    Atomics.store(this.cells, cell.cancelled, 1);
  }

  get isCancelled(): boolean {
    return Atomics.load(this.cells, cell.cancelled) !== 0;
  }

  /** Said by the thread. Returns whether the task may begin: not if the caller took it back. */
  begin(): boolean {
    return Atomics.compareExchange(this.cells, cell.begun, begun.no, begun.yes) === begun.no;
  }

  /** Said by the caller. Returns whether the task had not begun in its thread, and now never will. */
  takeBack(): boolean {
    return Atomics.compareExchange(this.cells, cell.begun, begun.no, begun.never) === begun.no;
  }

  /** Said by the thread: it has loaded the task's module. */
  setLoaded(): void {
    Atomics.store(this.cells, cell.loaded, 1);
  }

  get hasLoaded(): boolean {
    return Atomics.load(this.cells, cell.loaded) !== 0;
  }
}
