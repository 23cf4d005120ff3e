import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { unmountBelow } from '../linux/mount-table.ts';
import type { Executor, ProcessSpec } from './executor.ts';
import { createOciExecutor, type OciExecutorOptions } from './oci-executor.ts';

const applets =
  'sh cat ls echo true mkdir rm touch sleep id stat mount mknod ln dd hostname ip grep seq kill test env pwd head tail chmod';

/** For tests: an executor in a directory of its own, and trees with busybox to run in. Disposing removes all of it. */
export class ExecutorRig implements AsyncDisposable {
  readonly dir: string;
  readonly executor: Executor;
  /** The tree at the bottom, with busybox, passwd and group. */
  readonly base: string;
  readonly #adopted: string[] = [];
  #count = 0;

  private constructor(executor: Executor, dir: string) {
    this.executor = executor;
    this.dir = dir;
    this.base = path.join(dir, 'base');
  }

  static async create(options: Omit<OciExecutorOptions, 'root'> = {}): Promise<ExecutorRig> {
    const dir = mkdtempSync(path.join(tmpdir(), 'kiln-executor-'));
    const executor = await createOciExecutor({ ...options, root: path.join(dir, 'executor') });
    const rig = new ExecutorRig(executor, dir);
    rig.#makeBase();
    return rig;
  }

  #makeBase(): void {
    for (const name of ['bin', 'etc', 'tmp', 'proc', 'dev', 'sys']) {
      mkdirSync(path.join(this.base, name), { recursive: true });
    }
    cpSync('/bin/busybox', path.join(this.base, 'bin/busybox'));
    for (const applet of applets.split(' ')) symlinkSync('busybox', path.join(this.base, 'bin', applet));
    writeFileSync(
      path.join(this.base, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n',
    );
    writeFileSync(
      path.join(this.base, 'etc/group'),
      'root:x:0:\nwheel:x:10:root,app\napps:x:1001:\nextra:x:2000:app\n',
    );
  }

  /** A writable overlay over the base tree. */
  overlay(): {
    readonly kind: 'overlay';
    readonly lowerDirs: string[];
    readonly upperDir: string;
    readonly workDir: string;
  } {
    const dir = path.join(this.dir, `layer${++this.#count}`);
    const upperDir = path.join(dir, 'upper');
    const workDir = path.join(dir, 'work');
    mkdirSync(upperDir, { recursive: true });
    mkdirSync(workDir);
    return { kind: 'overlay', lowerDirs: [this.base], upperDir, workDir };
  }

  spec(args: readonly string[], more: Partial<ProcessSpec> = {}): ProcessSpec {
    return {
      id: `t${process.pid}n${++this.#count}`,
      rootfs: this.overlay(),
      mounts: [],
      args,
      env: ['PATH=/bin'],
      cwd: '/',
      user: '',
      hostname: '',
      extraHosts: [],
      network: 'sandbox',
      security: 'sandbox',
      readonlyRoot: false,
      ulimits: [],
      cgroupParent: '',
      devices: [],
      validExitCodes: [],
      removeMountStubsRecursive: true,
      ...more,
    };
  }

  /** Runs a shell script; returns what it wrote to standard output. */
  async sh(
    script: string,
    more: Partial<ProcessSpec> = {},
    signal = new AbortController().signal,
  ): Promise<string> {
    return (await this.run(this.spec(['/bin/sh', '-ec', script], more), signal)).stdout;
  }

  async run(
    spec: ProcessSpec,
    signal = new AbortController().signal,
  ): Promise<{ readonly stdout: string; readonly stderr: string }> {
    const output = { 1: '', 2: '' };
    await this.executor.run(spec, {
      signal,
      onOutput: (stream, data) => {
        output[stream] += Buffer.from(data).toString('latin1');
      },
    });
    return { stdout: output[1], stderr: output[2] };
  }

  /** Takes over the directory of a rig whose process is gone. */
  adopt(dir: string): void {
    this.#adopted.push(dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const dir of [this.dir, ...this.#adopted]) {
      unmountBelow(dir);
      rmSync(dir, { recursive: true, force: true });
    }
  }
}
