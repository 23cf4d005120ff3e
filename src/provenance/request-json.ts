import { type Json, jsonMap, nonEmpty } from '../base/json/json-steps.ts';
import { withoutCredentials } from '../base/secrecy/without-credentials.ts';
import { parseGitRef } from '../llb/git-ref.ts';
import type { DigestSet } from '../oci/in-toto.ts';
import type { Capture } from './capture.ts';
import { commitDigest, digestSet } from './materials.ts';
import type { Redactor } from './redactor.ts';
import type { RequestAccount } from './request-account.ts';

export interface ConfigSource {
  readonly uri?: string;
  readonly digest?: DigestSet;
  /** Of the Dockerfile. */
  readonly path?: string;
}

/** What a predicate says of requests. */
export interface RequestParts {
  /** Leaves out build arguments and labels. */
  readonly min: boolean;
  readonly capture: Capture;
  readonly redactor: Redactor;
}

/** A request without what goes into its config source. */
export interface RequestDescription {
  readonly configSource: ConfigSource;
  readonly args: ReadonlyMap<string, string>;
}

/** How many requests one predicate describes, and how far down: inputs of inputs can be far more than were ever made. */
const maxRequests = 1000;
const maxDepth = 16;
const defaultContext = 'context';

/** Writes requests, and notes whether something of them was left out. */
export class RequestWriter {
  readonly #parts: RequestParts;
  #described = 0;
  #complete = true;

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  /** Whether all of the requests that were written is there. */
  get complete(): boolean {
    return this.#complete;
  }

  args(args: ReadonlyMap<string, string>): Json | undefined {
    const kept = [...args].filter(([name]) => !this.#parts.min || !/^(build-arg|label):/.test(name));
    if (kept.length < args.size) this.#complete = false;
    return jsonMap(kept.map(([name, value]) => [name, this.#parts.redactor.option(name, value)]));
  }

  /** The requests that results came from, by the names under which they were given to a request. */
  inputs(inputs: RequestAccount['inputs'], depth = 0): Json | undefined {
    return jsonMap(
      [...inputs].flatMap(([name, input]): [string, Json][] => {
        if (depth < maxDepth && this.#described++ < maxRequests)
          return [[name, this.#request(input, depth + 1)]];
        this.#complete = false;
        return [];
      }),
    );
  }

  /** Undefined when the request only said where its definition is. */
  root(root: RequestAccount): Json | undefined {
    const { args } = describeRequest(root, this.#parts.capture);
    return root.frontend === '' && args.size === 0 && root.inputs.size === 0
      ? undefined
      : this.#request(root, 0);
  }

  #request(request: RequestAccount, depth: number): Json {
    const { configSource, args } = describeRequest(request, this.#parts.capture);
    return {
      configSource: nonEmpty({ ...configSource }),
      request: nonEmpty({
        frontend: request.frontend,
        args: this.args(args),
        inputs: this.inputs(request.inputs, depth),
      }),
    };
  }
}

/** Takes the definition's place (a context and a path in it) out of the options of a request. */
export function describeRequest({ options }: RequestAccount, capture: Capture): RequestDescription {
  const args = new Map(options);
  const take = (name: string): string => {
    const value = args.get(name);
    if (value) args.delete(name);
    return value ?? '';
  };
  const key = options.get('contextkey') || (options.get('input:context') ? 'input:context' : defaultContext);
  const context = take(key);
  const path = take('filename');
  return {
    configSource: { ...(context && contextSource(context, capture)), ...(path && { path }) },
    args,
  };
}

function contextSource(context: string, { repositories, downloads }: Capture): ConfigSource {
  const shown = withoutCredentials(context);
  const git = gitContext(shown);
  const repository = repositories.find(({ url }) => url === (git?.repository ?? shown));
  if (repository) return { uri: git?.full ?? shown, digest: commitDigest(repository.commit) };
  const download = downloads.find(({ url }) => url === shown);
  return download ? { uri: shown, digest: digestSet(download.digest) } : { uri: shown };
}

/** A git context in the one form in which materials have it: without the directory, and with it. */
function gitContext(context: string): { readonly repository: string; readonly full: string } | undefined {
  try {
    const git = parseGitRef(context);
    if (!git) return undefined;
    const { ref = '', subdir } = git.options;
    const named = ref === '' ? git.remote : `${git.remote}#${ref}`;
    if (subdir === undefined || subdir === '') return { repository: named, full: named };
    return { repository: named, full: `${git.remote}#${ref}:${subdir}` };
  } catch {
    // A repository with a wrong query is the frontend's to refuse.
    return undefined;
  }
}
