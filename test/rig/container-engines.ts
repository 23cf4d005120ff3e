import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { unmountBelow } from '../../src/linux/mount-table.ts';
import { eventually } from './eventually.ts';
import { mustRun, type Running, runProgram, startProgram } from './run-program.ts';

/** Docker, Podman or containerd with a state of its own, which goes with it. */
export abstract class ContainerEngine implements AsyncDisposable {
  readonly directory: string = mkdtempSync(path.join(tmpdir(), 'kiln-engine-'));
  /** Its socket. */
  readonly address: string = `unix://${path.join(this.directory, 'engine.sock')}`;
  #process: Running | undefined;

  protected at(name: string): string {
    return path.join(this.directory, name);
  }

  protected async run(program: string, args: readonly string[]): Promise<void> {
    this.#process = startProgram(program, args);
    const { finished } = this.#process;
    await eventually(
      async () => {
        if (this.#process?.hasEnded()) throw new Error(`${program} ended:\n${(await finished).stderr}`);
        return await this.answers();
      },
      () => this.#process?.stderr(),
    );
  }

  protected abstract answers(): Promise<boolean>;

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process?.kill('SIGTERM');
    await this.#process?.finished;
    unmountBelow(this.directory);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export class DockerEngine extends ContainerEngine {
  static async start(): Promise<DockerEngine> {
    const docker = new DockerEngine();
    await docker.run('/usr/sbin/dockerd', [
      ...['--data-root', docker.at('data'), '--exec-root', docker.at('exec')],
      ...['--pidfile', docker.at('pid'), '--host', docker.address, '--config-file', docker.#noConfig()],
      ...['--iptables=false', '--bridge=none'],
    ]);
    return docker;
  }

  #noConfig(): string {
    writeFileSync(this.at('daemon.json'), '{}');
    return this.at('daemon.json');
  }

  protected async answers(): Promise<boolean> {
    return (await this.#docker(['version'])).code === 0;
  }

  #docker(args: readonly string[]) {
    return runProgram('docker', ['--host', this.address, ...args], { env: { DOCKER_HOST: undefined } });
  }

  /** Runs `docker` with this daemon; returns what it says on standard output. */
  async docker(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#docker(args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return stdout;
  }
}

export class PodmanEngine extends ContainerEngine {
  /** For processes that run `podman`. */
  readonly environment: Readonly<Record<string, string>> = {
    CONTAINERS_STORAGE_CONF: this.at('storage.conf'),
  };

  static async start(): Promise<PodmanEngine> {
    const podman = new PodmanEngine();
    const [graph, run] = [podman.at('graph'), podman.at('run')];
    writeFileSync(
      podman.at('storage.conf'),
      `[storage]\ndriver = "overlay"\ngraphroot = "${graph}"\nrunroot = "${run}"\n`,
    );
    await podman.run('env', [
      `CONTAINERS_STORAGE_CONF=${podman.environment.CONTAINERS_STORAGE_CONF}`,
      ...['podman', 'system', 'service', '--time=0', podman.address],
    ]);
    return podman;
  }

  protected async answers(): Promise<boolean> {
    return (await runProgram('podman', ['--remote', '--url', this.address, 'version'])).code === 0;
  }

  /** Runs `podman` on this state; returns what it says on standard output. */
  async podman(...args: readonly string[]): Promise<string> {
    return (await mustRun('podman', args, { env: this.environment })).stdout;
  }
}

export class ContainerdEngine extends ContainerEngine {
  static async start(): Promise<ContainerdEngine> {
    const containerd = new ContainerdEngine();
    const config = containerd.at('config.toml');
    const lines = [
      'version = 2',
      `root = "${containerd.at('root')}"`,
      `state = "${containerd.at('state')}"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      `[grpc]\naddress = "${containerd.at('engine.sock')}"`,
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    await containerd.run('containerd', ['--config', config]);
    return containerd;
  }

  protected async answers(): Promise<boolean> {
    return (await runProgram('ctr', ['--address', this.at('engine.sock'), 'version'])).code === 0;
  }

  /** Runs `ctr` with this daemon; returns what it says on standard output. */
  async ctr(...args: readonly string[]): Promise<string> {
    return (await mustRun('ctr', ['--address', this.at('engine.sock'), ...args])).stdout;
  }
}
