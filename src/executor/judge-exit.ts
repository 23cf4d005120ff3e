import { statSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { type ErrorDetail, KilnError } from '../base/errors.ts';
import type { ContainerExit } from './oci-runtime.ts';

/** What an exit is judged by. */
export interface JudgedProcess {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly validExitCodes: readonly number[];
}

/** Where names of the container lie on the host. */
export interface ContainerFiles {
  locate(name: string): string;
}

export type JudgedExit = ContainerExit & { readonly oom: boolean };

/** Returns when the process ended as it should, throws what went wrong otherwise. */
export function judgeExit(spec: JudgedProcess, files: ContainerFiles, exit: JudgedExit): void {
  const command = JSON.stringify(spec.args.join(' '));
  switch (exit.kind) {
    case 'exited': {
      const valid = spec.validExitCodes.length > 0 ? spec.validExitCodes : [0];
      if (valid.includes(exit.code)) return;
      const signal = signalOf(exit.code);
      const oom = exit.oom ? ', out of memory' : '';
      const detail: ErrorDetail = {
        kind: 'exit',
        code: exit.code,
        ...(signal ? { signal } : {}),
        ...(exit.oom ? { oom: true } : {}),
      };
      throw new KilnError(
        'unknown',
        `process ${command} did not complete successfully: exit code: ${exit.code}${signal ? ` (${signal}${oom})` : ''}`,
        { details: [detail], hint: exit.oom ? 'give the step or the machine more memory' : undefined },
      );
    }
    case 'not-started': {
      const program = spec.args[0]!;
      if (findInContainer(program, spec, files) === undefined) {
        throw new KilnError(
          'not_found',
          `process ${command} did not complete successfully: ${program} not found in the image`,
          {
            cause: new Error(exit.reason),
            details: [{ kind: 'exit', code: 127 }],
            hint: program.includes('/')
              ? 'check the path; it is looked up in the file system of this step'
              : 'install it in an earlier step, or check PATH',
          },
        );
      }
      throw new KilnError('failed_precondition', `process ${command} cannot start: ${exit.reason}`, {
        details: [{ kind: 'exit', code: 126 }],
      });
    }
    default:
      exit satisfies never;
  }
}

/** The signal that a shell-style exit code stands for. */
function signalOf(code: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => number + 128 === code)?.[0];
}

/** The file on the host that execvp(3) would find in the container. */
export function findInContainer(
  program: string,
  spec: Pick<JudgedProcess, 'env' | 'cwd'>,
  files: ContainerFiles,
): string | undefined {
  const search = spec.env.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length);
  const dirs = program.includes('/') ? [spec.cwd] : (search ?? '/usr/bin:/bin').split(':');
  return dirs
    .map((dir) => files.locate(path.posix.resolve('/', dir, program)))
    .find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}
