/** Whoever waits for an edge to reach a level. Told once: when the edge has reached it, or has failed. */
export interface Waiter {
  woken(): void;
}
