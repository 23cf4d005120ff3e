import { awakeTimeout } from '../base/async/awake-timeout.ts';
import { abortError, throwIfAborted } from '../base/async/lifetime.ts';
import { isCanceled, KilnError } from '../base/errors.ts';
import type { Session, SessionManager } from './session.ts';

/** The sessions that are open now. */
export class SessionRegistry implements SessionManager {
  readonly #sessions = new Map<string, Session>();
  readonly #waiting = new Map<string, Set<(session: Session) => void>>();
  readonly #waitLimit: number;

  /** `waitLimit`: milliseconds that `get` waits for a session, 5000 by default. */
  constructor(options: { readonly waitLimit?: number } = {}) {
    this.#waitLimit = options.waitLimit ?? 5000;
  }

  /** The returned handle is to be disposed when the session ends. Throws `already_exists` when a session with this id is open. */
  add(session: Session): Disposable {
    if (session.id === '') throw new KilnError('invalid_argument', 'a session needs an id');
    if (this.#sessions.has(session.id)) {
      throw new KilnError('already_exists', `session ${session.id} is open already`);
    }
    this.#sessions.set(session.id, session);
    for (const arrived of this.#waiting.get(session.id) ?? []) arrived(session);
    this.#waiting.delete(session.id);
    return {
      [Symbol.dispose]: () => {
        if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
      },
    };
  }

  isOpen(name: string): boolean {
    return this.#find(idOf(name)) !== undefined;
  }

  async get(name: string, signal?: AbortSignal): Promise<Session> {
    throwIfAborted(signal);
    const id = idOf(name);
    const session = this.#find(id);
    if (session) return session;
    return await new Promise<Session>((resolve, reject) => {
      const waiting = this.#waiting.get(id) ?? new Set();
      this.#waiting.set(id, waiting);
      const settle = () => {
        limit[Symbol.dispose]();
        signal?.removeEventListener('abort', stop);
        waiting.delete(arrived);
        if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id);
      };
      const arrived = (found: Session) => {
        settle();
        resolve(found);
      };
      const stop = () => {
        settle();
        reject(abortError(signal!));
      };
      const limit = awakeTimeout(this.#waitLimit);
      const giveUp = () => {
        settle();
        reject(
          new KilnError('not_found', `no active session ${id}: the client did not open it, or is gone`, {
            hint: 'keep the client running until its build has ended',
          }),
        );
      };
      limit.signal.addEventListener('abort', giveUp, { once: true });
      waiting.add(arrived);
      signal?.addEventListener('abort', stop, { once: true });
    });
  }

  async any<T>(
    ids: readonly string[],
    work: (session: Session) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    let first: unknown;
    for (const id of ids) {
      try {
        return await work(await this.get(id, signal));
      } catch (error) {
        throwIfAborted(signal);
        if (first === undefined || isCanceled(first)) first = error;
      }
    }
    throw first ?? new KilnError('unavailable', 'no client session is open that could be asked');
  }

  #find(id: string): Session | undefined {
    const session = this.#sessions.get(id);
    return session?.closed.aborted ? undefined : session;
  }
}

/** A frontend marks a session of its own inputs by a prefix, `name:id`. */
function idOf(name: string): string {
  return name.slice(name.indexOf(':') + 1) || name;
}
