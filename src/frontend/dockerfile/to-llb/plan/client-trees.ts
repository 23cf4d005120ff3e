import { asKilnError } from '../../../../base/errors.ts';
import { type LocalOptions, local, type OpGraph, type State, toGraph } from '../../../../llb/llb.ts';
import type { Bridge, FrontendRequest, SolvedRef } from '../../../frontend.ts';
import { parseIgnoreFile } from '../values/ignore-file.ts';
import type { RequestOptions } from './request-options.ts';

export const ignoreFilename = '.dockerignore';

/** Reads files of trees while a build is planned. */
export class ClientTrees {
  readonly #bridge: Pick<Bridge, 'solve'>;
  readonly #sessionId: string;
  readonly #localSessionIds: RequestOptions['localSessionIds'];
  readonly #signal: AbortSignal;

  constructor(
    bridge: Pick<Bridge, 'solve'>,
    { sessionId }: Pick<FrontendRequest, 'sessionId'>,
    { localSessionIds }: Pick<RequestOptions, 'localSessionIds'>,
    signal: AbortSignal,
  ) {
    this.#bridge = bridge;
    this.#sessionId = sessionId;
    this.#localSessionIds = localSessionIds;
    this.#signal = signal;
  }

  /** A directory of the client, in the session that the request names for it. */
  local(name: string, options: Omit<LocalOptions, 'sessionId'>): State {
    return local(name, { ...options, sessionId: this.#localSessionIds.get(name) ?? this.#sessionId });
  }

  /** Undefined for the empty tree. */
  async solve(graph: OpGraph): Promise<SolvedRef | undefined> {
    const { refs } = await this.#bridge.solve({ graph });
    return refs.get('');
  }

  /** The file, or undefined where there is none. */
  async readIfThere(ref: SolvedRef | undefined, name: string): Promise<Uint8Array | undefined> {
    try {
      return await ref?.readFile(name, undefined, this.#signal);
    } catch (error) {
      if (asKilnError(error).code === 'not_found') return undefined;
      throw error;
    }
  }

  /** The patterns of the ignore file in a client's directory; none where there is no such file. */
  async ignorePatterns(
    name: string,
    options: Pick<LocalOptions, 'name' | 'sharedKeyHint'>,
  ): Promise<readonly string[]> {
    const tree = this.local(name, { ...options, followPaths: [ignoreFilename], differ: 'none' });
    const ref = await this.solve(toGraph(tree));
    return parseIgnoreFile((await this.readIfThere(ref, ignoreFilename)) ?? new Uint8Array());
  }
}
