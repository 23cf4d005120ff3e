/** Releases under way, so that somebody can wait for them. */
export class ReleaseTracker {
  readonly #pending = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  track(release: Promise<void>): void {
    const tracked: Promise<void> = release
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#pending.delete(tracked));
    this.#pending.add(tracked);
  }

  /** Waits for those under way now. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** Throws the first failure there ever was. */
  throwIfFailed(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
