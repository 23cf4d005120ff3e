import { KilnError } from '../base/errors.ts';
import type { Bridge, FileStat, FrontendResult, SolvedRef } from '../frontend/frontend.ts';
import { decodeDefinition } from '../llb/wire/definition-wire.ts';
import { unmarshalDefinition } from '../llb/wire/unmarshal-definition.ts';
import type { Fields } from './child-message.ts';
import type { NumberedTrees, StatText } from './messages.ts';

/** How many trees a build file may hold. */
const mostTrees = 10_000;

/** Answers what a build file asks, by the bridge to the daemon. */
export class ChildQuestions {
  readonly #bridge: Bridge;
  readonly #sessionId: string;
  readonly #signal: AbortSignal;
  readonly #trees: SolvedRef[] = [];

  constructor(bridge: Bridge, sessionId: string, signal: AbortSignal) {
    this.#bridge = bridge;
    this.#sessionId = sessionId;
    this.#signal = signal;
  }

  /** Throws `invalid_argument` for what is no question, and what the bridge throws. */
  async answer(question: Fields): Promise<unknown> {
    switch (question.text('kind')) {
      case 'resolveImageConfig': {
        const storeId = question.optional('storeId', (name) => question.text(name));
        const mode = question.text('resolveMode');
        const { ref, digest, config } = await this.#bridge.resolveImageConfig(question.text('ref'), {
          platform: question.platform('platform'),
          resolveMode: mode === 'pull' || mode === 'local' ? mode : 'default',
          logName: question.text('logName'),
          ...(storeId !== undefined && { ociLayout: { sessionId: this.#sessionId, storeId } }),
        });
        return { ref, digest, config: base64(config) };
      }
      case 'solve': {
        const graph = unmarshalDefinition(decodeDefinition(question.bytes('definition')));
        return this.#numbered(await this.#bridge.solve({ graph, evaluate: question.flag('evaluate') }));
      }
      case 'call': {
        const inputs = question
          .textPairs('inputs')
          .map(([name, text]) => [name, decodeDefinition(Buffer.from(text, 'base64'))] as const);
        const options = question.record('options');
        const request = { frontend: question.text('frontend'), options, inputs: new Map(inputs) };
        return this.#numbered(await this.#bridge.solve(request));
      }
      case 'evaluate':
        await this.#tree(question).evaluate(this.#signal);
        return null;
      case 'readFile': {
        const range = { offset: question.count('offset'), length: question.count('length') };
        const whole = range.offset === 0 && range.length === 0;
        const path = question.text('path');
        return base64(await this.#tree(question).readFile(path, whole ? undefined : range, this.#signal));
      }
      case 'readDir': {
        const pattern = question.text('pattern') || undefined;
        return (await this.#tree(question).readDir(question.text('path'), pattern, this.#signal)).map(
          statText,
        );
      }
      case 'statFile':
        return statText(await this.#tree(question).statFile(question.text('path'), this.#signal));
      default:
        throw new KilnError('invalid_argument', 'the process of the build file asks what nobody can answer');
    }
  }

  /** The result that the process names. */
  result({ refs, metadata }: NumberedTrees): FrontendResult {
    return {
      refs: new Map(refs.map(([key, number]) => [key, number === null ? undefined : this.#treeOf(number)])),
      metadata: new Map(metadata.map(([key, text]) => [key, Buffer.from(text, 'base64')])),
    };
  }

  #numbered({ refs, metadata }: FrontendResult): NumberedTrees {
    if (this.#trees.length + refs.size > mostTrees) {
      throw new KilnError(
        'resource_exhausted',
        `a build file cannot have more than ${mostTrees} trees solved`,
      );
    }
    return {
      refs: [...refs].map(([key, ref]) => [key, ref ? this.#trees.push(ref) - 1 : null] as const),
      metadata: [...metadata].map(([key, bytes]) => [key, base64(bytes)] as const),
    };
  }

  #tree(question: Fields): SolvedRef {
    return this.#treeOf(question.count('tree'));
  }

  #treeOf(number: number): SolvedRef {
    if (this.#trees.length > mostTrees) {
      throw new KilnError(
        'resource_exhausted',
        `a build file cannot have more than ${mostTrees} trees solved`,
      );
    }
    const tree = this.#trees[number];
    if (tree) return tree;
    throw new KilnError(
      'invalid_argument',
      `the process of the build file names a tree ${number} that it was not given`,
    );
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function statText({ path, mode, uid, gid, size, modTime, linkname }: FileStat): StatText {
  return { path, mode, uid, gid, size: String(size), modTime: String(modTime), linkname };
}
