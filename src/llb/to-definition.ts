import { randomUUID } from 'node:crypto';
import { type Digest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { hostPlatform, type Platform } from '../base/platform.ts';
import { capabilities } from './capabilities.ts';
import { marshalOp, marshalTerminal } from './marshal.ts';
import type { Definition, Input, OpMetadata, SourceFile } from './op.ts';
import type { State } from './state.ts';
import { fixedOutput, type InputNames, type Output, type SourceLocation, type Vertex } from './vertex.ts';

export interface DefinitionOptions {
  /** The platform of vertices that name none; by default this machine's. */
  readonly platform?: Platform;
  /** Tells the local sources that name no session from other clients'; random by default. */
  readonly localUniqueId?: string;
}

/** Marshals a tree and all that it is made of. The empty tree is a definition without ops. */
export function toDefinition(state: State, options: DefinitionOptions = {}): Definition {
  const writer = new DefinitionWriter({
    platform: options.platform ?? hostPlatform(),
    localUniqueId: options.localUniqueId ?? randomUUID(),
  });
  return writer.write(state.output);
}

/** Bytes of all ops: each has the variables that were set before it, so that a megabyte of lines could ask for many gigabytes. */
const largestDefinition = 256 * 1024 * 1024;

type Location = { readonly file: number; readonly ranges: SourceLocation['ranges'] };

class DefinitionWriter implements InputNames {
  readonly platform: Platform;
  readonly localUniqueId: string;
  #size = 0;
  readonly #names = new Map<Vertex, Digest>();
  readonly #ops = new Map<Digest, Uint8Array>();
  readonly #metadata = new Map<Digest, OpMetadata>();
  readonly #files: SourceFile[] = [];
  readonly #locations = new Map<Digest, Location[]>();

  constructor({ platform, localUniqueId }: Required<DefinitionOptions>) {
    this.platform = platform;
    this.localUniqueId = localUniqueId;
  }

  write(output: Output | undefined): Definition {
    const result = fixedOutput(output);
    if (!result) return { ops: [], metadata: new Map() };
    this.#addAll(result.vertex);
    const terminal = marshalTerminal(this.input(result)!);
    this.#metadata.set(digestOf(terminal), this.#terminalMetadata());
    return {
      ops: [...this.#ops.values(), terminal],
      metadata: this.#metadata,
      source: { files: this.#files, locations: this.#locations },
    };
  }

  input(output: Output | undefined): Input | undefined {
    const fixed = fixedOutput(output);
    return fixed && { digest: this.#names.get(fixed.vertex)!, index: fixed.index };
  }

  /** Inputs first, without recursion: a chain of steps can be longer than the stack is deep. */
  #addAll(last: Vertex): void {
    const entered = new Set<Vertex>();
    const stack: Vertex[] = [last];
    while (stack.length > 0) {
      const vertex = stack.at(-1)!;
      if (this.#names.has(vertex)) stack.pop();
      else if (vertex.kind === 'definition') this.#addDefinition(vertex.definition, vertex);
      else if (entered.has(vertex)) this.#addOp(vertex);
      else {
        entered.add(vertex);
        for (const input of vertex.inputs.toReversed()) {
          const fixed = fixedOutput(input);
          if (fixed && !this.#names.has(fixed.vertex)) stack.push(fixed.vertex);
        }
      }
    }
  }

  #addOp(vertex: Vertex & { kind: 'op' }): void {
    const bytes = marshalOp(vertex.build(this));
    this.#size += bytes.length;
    if (this.#size > largestDefinition) {
      throw new KilnError(
        'resource_exhausted',
        `the definition of the build is larger than ${largestDefinition} bytes: its steps have too much in their environment`,
      );
    }
    const digest = digestOf(bytes);
    this.#names.set(vertex, digest);
    this.#ops.set(digest, bytes);
    this.#describe(digest, vertex.metadata);
    for (const { file, ranges } of vertex.locations) this.#locate(digest, file, ranges);
  }

  #addDefinition(definition: Definition, vertex: Vertex & { kind: 'definition' }): void {
    this.#names.set(vertex, vertex.result.digest);
    for (const bytes of definition.ops.slice(0, -1)) this.#ops.set(digestOf(bytes), bytes);
    for (const [digest, metadata] of definition.metadata) {
      if (this.#ops.has(digest)) this.#describe(digest, metadata);
    }
    const { source } = definition;
    for (const [digest, locations] of source?.locations ?? []) {
      for (const { file, ranges } of locations) {
        const found = source?.files[file];
        if (found) this.#locate(digest, found, ranges);
      }
    }
  }

  /** Vertices that are equal are one vertex: what was said about either holds. */
  #describe(digest: Digest, metadata: OpMetadata): void {
    const known = this.#metadata.get(digest);
    this.#metadata.set(
      digest,
      known
        ? {
            ...known,
            ...metadata,
            ignoreCache: known.ignoreCache || metadata.ignoreCache,
            description: { ...known.description, ...metadata.description },
            caps: { ...known.caps, ...metadata.caps },
          }
        : metadata,
    );
  }

  #locate(digest: Digest, file: SourceFile, ranges: Location['ranges']): void {
    let index = this.#files.findIndex((known) => known === file || sameFile(known, file));
    if (index < 0) index = this.#files.push(file) - 1;
    const list = this.#locations.get(digest) ?? [];
    list.push({ file: index, ranges });
    this.#locations.set(digest, list);
  }

  #terminalMetadata(): OpMetadata {
    const caps: Record<string, boolean> = { [capabilities.constraints]: true, [capabilities.platform]: true };
    for (const metadata of this.#metadata.values()) {
      if (metadata.ignoreCache) caps[capabilities.ignoreCache] = true;
      if (Object.keys(metadata.description).length > 0) caps[capabilities.description] = true;
      if (metadata.exportCache !== undefined) caps[capabilities.exportCache] = true;
    }
    return { ignoreCache: false, description: {}, caps };
  }
}

function sameFile(a: SourceFile, b: SourceFile): boolean {
  return a.filename === b.filename && a.language === b.language && Buffer.compare(a.data, b.data) === 0;
}
