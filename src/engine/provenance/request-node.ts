import type { SolvedRef } from '../../frontend/frontend.ts';
import type { Definition } from '../../llb/op.ts';
import { definitionResult } from '../../llb/wire/unmarshal-definition.ts';
import type { ImageMaterial } from '../../provenance/capture.ts';
import { isEmptyRequest, type RequestAccount, requestAccount } from '../../provenance/request-account.ts';
import type { EdgeRef } from '../result/edge-ref.ts';
import type { RequestIndex } from './request-index.ts';

/** A request of a build: the client's own, or one that a frontend or the client's code made of it. */
export interface RequestedWork {
  readonly frontend: string;
  readonly options: Readonly<Record<string, string>>;
  readonly inputs: ReadonlyMap<string, Definition>;
}

const gateway = 'gateway.v0';
const builtIn = 'dockerfile.v0';

/** The request that is meant: one to load the frontend that is built in as if it were an image is one to that frontend. */
export function meantRequest(request: RequestedWork): RequestedWork {
  const { source, ...options } = request.options;
  const named = Object.keys(options).some((name) => /^context:dockerfile\.v0(::|$)/.test(name));
  if (request.frontend !== gateway || source !== builtIn || named) return request;
  return { ...request, frontend: builtIn, options };
}

export interface RequestNodeOptions {
  /** For what comes from another request: where that is noted. */
  readonly index: RequestIndex;
  /** What the client asked for. */
  readonly root: RequestAccount | undefined;
  /** The request itself; undefined for the client's, which no frontend answers. */
  readonly request?: RequestAccount;
}

/** A request with all that was solved and looked up for it. Provenance is about one of its results. */
export class RequestNode {
  readonly request: RequestAccount | undefined;
  readonly root: RequestAccount | undefined;
  readonly images: ImageMaterial[] = [];
  readonly #index: RequestIndex;
  readonly #refs: EdgeRef[] = [];
  readonly #children: RequestNode[] = [];
  readonly #noted = new DisposableStack();

  constructor({ index, root, request }: RequestNodeOptions) {
    this.#index = index;
    this.root = root;
    this.request = request;
  }

  /** The node of a build. */
  static rootOf(work: RequestedWork, index: RequestIndex): RequestNode {
    const root = accountOf(meantRequest(work), index);
    return new RequestNode({ index, root: isEmptyRequest(root) ? undefined : root });
  }

  /** A request that is made while this one is answered. Its own work counts as part of this one's, too. */
  child(work: RequestedWork): RequestNode {
    const index = this.#index;
    const child = new RequestNode({
      index,
      root: this.root ?? this.request,
      request: accountOf(work, index),
    });
    this.#children.push(child);
    return child;
  }

  /** A tree that was solved for this request. */
  addRef(ref: EdgeRef): void {
    this.#refs.push(ref);
  }

  /** What the request came to: the trees of it are results that others can get as inputs. */
  addResult(trees: Iterable<SolvedRef | undefined>): void {
    for (const tree of trees) {
      const result = tree?.graph?.result;
      if (this.request && result) this.#noted.use(this.#index.add(result.digest, this.request));
    }
  }

  /** All trees and images of this request and of those that it made. */
  *nodes(): Iterable<RequestNode> {
    yield this;
    for (const child of this.#children) yield* child.nodes();
  }

  get refs(): readonly EdgeRef[] {
    return this.#refs;
  }

  /** The build has ended: its results are no inputs of other builds any more. */
  [Symbol.dispose](): void {
    for (const node of this.nodes()) node.#noted.dispose();
  }
}

function accountOf({ frontend, options, inputs }: RequestedWork, index: RequestIndex): RequestAccount {
  const known = [...inputs].flatMap(([name, definition]): [string, RequestAccount][] => {
    const request = producerOf(definition, index);
    return request ? [[name, request]] : [];
  });
  return requestAccount(frontend, options, new Map(known));
}

function producerOf(definition: Definition, index: RequestIndex): RequestAccount | undefined {
  try {
    const result = definitionResult(definition);
    return result && index.find(result.digest);
  } catch {
    // A definition that is wrong comes from no request. Whoever uses it says what is wrong.
    return undefined;
  }
}
