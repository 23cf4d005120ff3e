import { fromBinary } from '@bufbuild/protobuf';
import {
  type Chown,
  type ExecOp as ExecMessage,
  type FileAction as FileActionMessage,
  type Mount,
  type Op as OpMessage,
  OpSchema,
  type Owner as OwnerMessage,
} from '../../api/gen/ops_pb.js';
import { type Digest, parseDigest } from '../../base/digest.ts';
import type { KilnError } from '../../base/errors.ts';
import { invalidVertex } from '../check-op.ts';
import type {
  ExecMount,
  ExecOp,
  FileAction,
  FileChange,
  Input,
  Op,
  OpAction,
  Owner,
  OwnerId,
} from '../op.ts';
import { noIndex } from '../op.ts';
import { decodeDefinition } from './definition-wire.ts';
import { mountTypeOf } from './mount-type.ts';
import { contentCaches, networkModes, securityModes, unset } from './wire-values.ts';

/** What the bytes of an op can hold: a vertex, or the terminal op of a definition, which has no action. */
export type UnmarshalledOp =
  | { readonly kind: 'op'; readonly op: Op }
  | { readonly kind: 'terminal'; readonly inputs: readonly Input[] };

/**
 * Reads an op: typed, with all parts of its kind, and with indexes that stay within its inputs. `digest` is the op's name in
 * errors. Throws `invalid_argument`.
 */
export function unmarshalOp(bytes: Uint8Array, digest: Digest): UnmarshalledOp {
  let message: OpMessage;
  try {
    message = fromBinary(OpSchema, bytes);
  } catch (cause) {
    throw invalidVertex(digest, 'its bytes are not an LLB op', cause);
  }
  const inputs = message.inputs.map((input, at): Input => {
    if (input.index < 0n)
      throw invalidVertex(digest, `its input ${at} has the negative output index ${input.index}`);
    return { digest: parseDigest(input.digest), index: Number(input.index) };
  });
  if (message.action.case === undefined) return { kind: 'terminal', inputs };
  const { platform, constraints } = message;
  return {
    kind: 'op',
    op: {
      inputs,
      ...(platform && {
        platform: {
          os: platform.os,
          architecture: platform.architecture,
          ...(platform.variant && { variant: platform.variant }),
          ...(platform.osVersion && { osVersion: platform.osVersion }),
          ...(platform.osFeatures.length > 0 && { osFeatures: platform.osFeatures }),
        },
      }),
      ...(constraints && { constraints: constraints.filters }),
      action: new ActionReader(digest, inputs.length).read(message.action),
    },
  };
}

class ActionReader {
  readonly #digest: Digest;
  readonly #inputs: number;

  constructor(digest: Digest, inputs: number) {
    this.#digest = digest;
    this.#inputs = inputs;
  }

  read(action: OpMessage['action']): OpAction {
    switch (action.case) {
      case 'exec':
        return { kind: 'exec', ...this.#exec(action.value) };
      case 'source':
        return { kind: 'source', identifier: action.value.identifier, attrs: action.value.attrs };
      case 'file':
        if (action.value.actions.length === 0) throw this.#invalid('it is a file op without actions');
        return {
          kind: 'file',
          actions: action.value.actions.map((of, at) => this.#fileAction(of, at)),
        };
      case 'build': {
        const { builder, inputs, definition, attrs } = action.value;
        return {
          kind: 'build',
          builder: Number(builder),
          inputs: Object.fromEntries(
            Object.entries(inputs).map(([name, { input }]) => [
              name,
              this.#input(input, `build input ${name}`),
            ]),
          ),
          definition: definition && decodeDefinition(definition),
          attrs,
        };
      }
      case 'merge':
        return {
          kind: 'merge',
          inputs: action.value.inputs.map(({ input }) => this.#input(input, 'merge input')),
        };
      case 'diff': {
        const { lower, upper } = action.value;
        if (!lower || !upper) throw this.#invalid('it is a diff without a lower or upper side');
        return {
          kind: 'diff',
          lower: this.#input(lower.input, 'lower side'),
          upper: this.#input(upper.input, 'upper side'),
        };
      }
      case 'passthrough': {
        const { id, outputs } = action.value;
        if (!id) throw this.#invalid('it is a passthrough without an id');
        if (outputs.length === 0) throw this.#invalid('it is a passthrough without outputs');
        return {
          kind: 'passthrough',
          id,
          outputs: outputs.map((of) => this.#input(of, 'passthrough output')),
        };
      }
      case undefined:
        throw this.#invalid('it has no action');
    }
  }

  #exec(message: ExecMessage): ExecOp {
    const { meta } = message;
    if (!meta) throw this.#invalid('it runs no command');
    const network = networkModes.nameOf(message.network);
    const security = securityModes.nameOf(message.security);
    if (!network) throw this.#invalid(`its network mode ${message.network} is not known`);
    if (!security) throw this.#invalid(`it has an invalid security mode ${message.security}`);
    const { proxyEnv } = meta;
    return {
      meta: {
        args: meta.args,
        env: meta.env,
        cwd: meta.cwd,
        user: meta.user,
        ...(proxyEnv && {
          proxyEnv: {
            httpProxy: proxyEnv.httpProxy,
            httpsProxy: proxyEnv.httpsProxy,
            ftpProxy: proxyEnv.ftpProxy,
            noProxy: proxyEnv.noProxy,
            allProxy: proxyEnv.allProxy,
          },
        }),
        extraHosts: meta.extraHosts.map(({ host, ip }) => ({ host, ip })),
        hostname: meta.hostname,
        ulimits: meta.ulimits.map(({ name, soft, hard }) => ({
          name,
          soft: Number(soft),
          hard: Number(hard),
        })),
        cgroupParent: meta.cgroupParent,
        removeMountStubsRecursive: meta.removeMountStubsRecursive,
        validExitCodes: meta.validExitCodes,
      },
      mounts: message.mounts.map((mount) => this.#mount(mount)),
      network,
      security,
      secretEnv: message.secretEnv.map(({ id, name, optional }) => ({ id, name, optional })),
      devices: message.devices.map(({ name, optional }) => ({ name, optional })),
    };
  }

  #mount(mount: Mount): ExecMount {
    const contentCache = contentCaches.nameOf(mount.contentCache);
    if (!contentCache)
      throw this.#invalid(`the content cache mode of its mount at ${mount.dest} is not known`);
    return {
      input: this.#input(mount.input, `mount at ${mount.dest}`),
      selector: mount.selector,
      dest: mount.dest,
      output: Number(mount.output),
      readonly: mount.readonly,
      resultId: mount.resultId,
      contentCache,
      type: mountTypeOf(mount, (problem) => this.#invalid(problem)),
    };
  }

  #fileAction(message: FileActionMessage, at: number): FileAction {
    const known = this.#inputs + at;
    const result = (index: bigint, name: string): number => {
      const value = Number(index);
      if (value < noIndex || value >= known) {
        throw this.#invalid(
          `the ${name} of its file action ${at} is ${value}, which nothing before it makes`,
        );
      }
      return value;
    };
    return {
      input: result(message.input, 'input'),
      secondaryInput: result(message.secondaryInput, 'secondary input'),
      output: Number(message.output),
      change: this.#fileChange(message, at),
    };
  }

  #fileChange({ change }: FileActionMessage, at: number): FileChange {
    switch (change.case) {
      case 'copy': {
        const { value } = change;
        const keepMode = value.mode === unset || value.modeString !== '';
        return {
          kind: 'copy',
          src: value.src,
          dest: value.dest,
          ...this.#owned(value),
          ...(!keepMode && { mode: value.mode }),
          modeString: value.modeString,
          followSymlink: value.followSymlink,
          dirCopyContents: value.dirCopyContents,
          unpackArchive: value.unpackArchive,
          createDestPath: value.createDestPath,
          allowWildcard: value.allowWildcard,
          allowEmptyWildcard: value.allowEmptyWildcard,
          includePatterns: value.includePatterns,
          excludePatterns: value.excludePatterns,
          requiredPaths: value.requiredPaths,
          alwaysReplaceExistingDestPaths: value.alwaysReplaceExistingDestPaths,
        };
      }
      case 'mkfile': {
        const { path, mode, data } = change.value;
        // A copy: a view would keep the whole message alive as long as the op, and be sent to threads with all of it.
        return { kind: 'mkfile', path, mode, data: new Uint8Array(data), ...this.#owned(change.value) };
      }
      case 'mkdir': {
        const { path, mode, makeParents } = change.value;
        return { kind: 'mkdir', path, mode, makeParents, ...this.#owned(change.value) };
      }
      case 'symlink': {
        const { oldPath, newPath } = change.value;
        return { kind: 'symlink', oldPath, newPath, ...this.#owned(change.value) };
      }
      case 'rm': {
        const { path, allowNotFound, allowWildcard } = change.value;
        return { kind: 'rm', path, allowNotFound, allowWildcard };
      }
      case undefined:
        throw this.#invalid(`its file action ${at} is of a kind that is not known`);
    }
  }

  #owned(value: { owner?: Chown | undefined; timestamp: bigint }): { owner?: Owner; timestamp?: bigint } {
    return {
      ...(value.owner && {
        owner: {
          ...(value.owner.user && { user: this.#ownerId(value.owner.user) }),
          ...(value.owner.group && { group: this.#ownerId(value.owner.group) }),
        },
      }),
      ...(value.timestamp !== BigInt(unset) && { timestamp: value.timestamp }),
    };
  }

  #ownerId({ owner }: OwnerMessage): OwnerId | undefined {
    switch (owner.case) {
      case 'byId':
        return { kind: 'id', id: owner.value };
      case 'byName':
        return { kind: 'name', name: owner.value.name, input: this.#input(owner.value.input, 'owner') };
      case undefined:
        return undefined;
    }
  }

  #input(index: bigint, name: string): number {
    const value = Number(index);
    if (value < noIndex || value >= this.#inputs) {
      throw this.#invalid(`its ${name} refers to input ${value} of ${this.#inputs}`);
    }
    return value;
  }

  #invalid(why: string): KilnError {
    return invalidVertex(this.#digest, why);
  }
}
