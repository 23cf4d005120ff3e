import type { ServiceImpl } from '@connectrpc/connect';
import type { Containers, RunMount, RunStart } from '../../api/gen/kiln_containers_pb.js';
import { KilnError } from '../../base/errors.ts';
import { type Platform, parsePlatform } from '../../base/platform.ts';
import type { Engine } from '../../engine/engine.ts';
import type { TreeProcess } from '../../engine/run-in-tree.ts';
import type { ProcessMount } from '../../executor/executor.ts';
import type { BuildRegistry } from '../builds/build-registry.ts';
import { converse } from '../containers/converse.ts';

export interface ContainersServices {
  readonly engine: Engine;
  readonly builds: BuildRegistry;
  readonly platform: Platform;
  /** Whether clients may have paths of this machine in their containers: who may is as good as root here. */
  readonly hostMounts: boolean;
}

/** Kiln's own API to run a process on a result of a build. */
export function containersService(services: ContainersServices): ServiceImpl<typeof Containers> {
  return {
    async *run(requests, context) {
      const messages = requests[Symbol.asyncIterator]();
      const first = await messages.next();
      if (first.done || first.value.message.case !== 'start') {
        throw new KilnError('invalid_argument', 'the first message of a run has to start it');
      }
      const start = first.value.message.value;
      const { build, refs } = await services.builds.get(start.build, context.signal);
      const process = processOf(start, services);
      const ref = refs.get(start.ref);
      const signal = AbortSignal.any([context.signal, build.signal]);
      yield* converse(messages, { terminal: start.terminal, input: start.input, signal }, (io) =>
        services.engine.runInTree(ref, process, io),
      );
    },
  };
}

function processOf(start: RunStart, { platform, hostMounts }: ContainersServices): TreeProcess {
  const { args, env, cwd, user, hostname, readonlyRoot } = start;
  if (args.length === 0) throw new KilnError('invalid_argument', 'there is no command to run');
  for (const text of [...args, ...env, cwd, user, hostname]) {
    if (text.includes('\0')) throw new KilnError('invalid_argument', 'a text of a process has a zero byte');
  }
  return {
    platform: start.platform === '' ? platform : parsePlatform(start.platform),
    args,
    env,
    cwd: cwd || '/',
    user,
    hostname,
    network: start.noNetwork ? 'none' : 'sandbox',
    readonlyRoot,
    mounts: start.mounts.map((mount) => mountOf(mount, hostMounts)),
  };
}

function mountOf({ target, source, readonly }: RunMount, hostMounts: boolean): ProcessMount {
  if (!target.startsWith('/') || target.includes('\0')) {
    throw new KilnError('invalid_argument', `the mount point ${JSON.stringify(target)} is not absolute`);
  }
  if (source === '') return { kind: 'tmpfs', dest: target, size: 0 };
  if (!hostMounts) {
    throw new KilnError(
      'permission_denied',
      `this daemon does not let ${source} be mounted into containers`,
      {
        hint: 'start it with --allow-insecure-entitlement security.insecure, or run without a daemon',
      },
    );
  }
  if (!source.startsWith('/') || source.includes('\0')) {
    throw new KilnError('invalid_argument', `the mount's source ${JSON.stringify(source)} is not absolute`);
  }
  return { kind: 'host', dest: target, source, readonly };
}
