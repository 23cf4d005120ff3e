import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../base/testing/free-port.ts';

/** A real registry (Debian's `docker-registry`) on a free loopback port, for tests. */
export interface RegistryRig extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly storage: string;
}

export interface RegistryRigOptions {
  /** Ask for these credentials (HTTP Basic). The hash is bcrypt's, as `htpasswd -B` writes it. */
  readonly htpasswd?: string;
  /** Files. With `clientCa`, clients must show a certificate that it signed. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /** Ask for tokens that this server signs. `rootcertbundle` is a file with its certificate. */
  readonly token?: { readonly realm: string; readonly service: string; readonly rootcertbundle: string };
}

/** Who signs the tokens of tests. */
export const tokenIssuer = 'kiln-test-issuer';

export async function startRegistry(options: RegistryRigOptions = {}): Promise<RegistryRig> {
  const directory = await mkdtemp(path.join(tmpdir(), 'kiln-registry-'));
  const port = await freePort();
  const storage = path.join(directory, 'storage');
  const lines = [
    'version: 0.1',
    'log: {level: error}',
    `storage: {filesystem: {rootdirectory: ${storage}}, delete: {enabled: true}}`,
    'http:',
    `  addr: 127.0.0.1:${port}`,
    ...(options.tls ? ['  tls:', `    certificate: ${options.tls.cert}`, `    key: ${options.tls.key}`] : []),
    ...(options.tls?.clientCa === undefined ? [] : [`    clientcas: [${options.tls.clientCa}]`]),
  ];
  if (options.htpasswd !== undefined) {
    const file = path.join(directory, 'htpasswd');
    await writeFile(file, options.htpasswd);
    lines.push(`auth: {htpasswd: {realm: kiln-test, path: ${file}}}`);
  }
  if (options.token) {
    const { realm, service, rootcertbundle } = options.token;
    const token = `realm: ${realm}, service: ${service}, issuer: ${tokenIssuer}, rootcertbundle: ${rootcertbundle}`;
    lines.push(`auth: {token: {${token}}}`);
  }
  const config = path.join(directory, 'config.yml');
  await writeFile(config, `${lines.join('\n')}\n`);
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await listening(port, child, () => stderr);
  return {
    host: `127.0.0.1:${port}`,
    storage,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function listening(port: number, child: ChildProcess, stderr: () => string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended: ${stderr()}`);
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`docker-registry does not listen on port ${port}: ${stderr()}`);
}
