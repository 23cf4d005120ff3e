import { type ContentClient, createContentClient } from '../session/requests/content-client.ts';
import type { SessionManager } from '../session/session.ts';

/** Where clients have an OCI layout. */
export interface LayoutStore {
  /** The session that offers it; empty for those of the build. */
  readonly sessionId: string;
  /** The client's name for it. */
  readonly storeId: string;
}

/** The clients that may have an OCI layout. Its blobs are named by digest: those of any client that offers the layout will do. */
export class LayoutClients {
  readonly #sessions: SessionManager;
  readonly #store: LayoutStore;

  constructor(sessions: SessionManager, store: LayoutStore) {
    this.#sessions = sessions;
    this.#store = store;
  }

  /** Whether no client is there any more; `ids` are the sessions of the build. */
  isGone(ids: readonly string[]): boolean {
    return !this.#holders(ids).some((id) => this.#sessions.isOpen(id));
  }

  /** Calls `work` with the first client that answers. Throws what the last one says. */
  async any<T>(
    ids: readonly string[],
    signal: AbortSignal,
    work: (client: ContentClient) => Promise<T>,
  ): Promise<T> {
    const storeId = `oci:${this.#store.storeId}`;
    const asked = this.#holders(ids);
    const open = asked.filter((id) => this.#sessions.isOpen(id));
    return await this.#sessions.any(
      open.length > 0 ? open : asked,
      (session) => work(createContentClient(session, storeId)),
      signal,
    );
  }

  #holders(ids: readonly string[]): readonly string[] {
    const { sessionId } = this.#store;
    return [...new Set([...(sessionId === '' ? [] : [sessionId]), ...ids])];
  }
}
