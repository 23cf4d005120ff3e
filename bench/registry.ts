import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A registry on loopback that keeps its blobs in `directory`. */
export async function startRegistry(directory: string): Promise<{ readonly host: string; stop(): void }> {
  const port = await new Promise<number>((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = probe.address() as { port: number };
      probe.close(() => resolve(free));
    });
  });
  mkdirSync(directory, { recursive: true });
  const config = path.join(directory, 'config.yml');
  writeFileSync(
    config,
    `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${directory} }, delete: { enabled: true } }
http: { addr: "127.0.0.1:${port}" }
`,
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const host = `127.0.0.1:${port}`;
  for (;;) {
    if (child.exitCode !== null) throw new Error('docker-registry does not start; is it installed?');
    const ready = await fetch(`http://${host}/v2/`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return { host, stop: () => child.kill('SIGKILL') };
    await sleep(50);
  }
}
