/** A binary heap: `pop` removes the item with the lowest score, in O(log n). */
export class PriorityQueue<T> {
  readonly #heap: T[] = [];
  readonly #scoreOf: (item: T) => number;

  /** The score of an item must not change while it is in the queue. */
  constructor(scoreOf: (item: T) => number) {
    this.#scoreOf = scoreOf;
  }

  push(item: T): void {
    const heap = this.#heap;
    let at = heap.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#scoreOf(heap[parent]!) <= this.#scoreOf(item)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = item;
  }

  pop(): T | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#scoreOf(heap[child + 1]!) < this.#scoreOf(heap[child]!)) child++;
      if (this.#scoreOf(heap[child]!) >= this.#scoreOf(last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
