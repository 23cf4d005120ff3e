import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { mustRun } from './run-program.ts';
import { testCache } from './test-cache.ts';

/** How this machine's apt gets packages, for a system that is made with it. */
export interface HostApt {
  readonly codename: string;
  readonly architecture: string;
  readonly mirror: string;
  /** What of its configuration says how to download, in the syntax of apt.conf. */
  readonly configuration: string;
  /** For programs that do not read that. */
  readonly proxy: string | undefined;
}

export async function readHostApt(): Promise<HostApt> {
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const targets = await mustRun('apt-get', [
    'indextargets',
    '--format',
    '$(SITE) $(RELEASE)',
    'Created-By: Packages',
  ]);
  const main = targets.stdout
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, release]) => release === codename);
  if (!codename || !main?.[0]) {
    throw new Error(`apt has no source for ${codename ?? 'this system'}: ${targets.stdout}`);
  }
  const dump = (await mustRun('apt-config', ['dump'])).stdout;
  return {
    codename,
    architecture: (await mustRun('dpkg', ['--print-architecture'])).stdout.trim(),
    mirror: main[0],
    configuration: dump
      .split('\n')
      .filter(
        (line) => /^(Acquire|APT::Sandbox)(::| )/.test(line) && !line.startsWith('Acquire::IndexTargets'),
      )
      .join('\n'),
    proxy: /^Acquire::http::Proxy "(http.+)";$/im.exec(dump)?.[1],
  };
}

/** A directory with `system.tar`: a small Debian system that debootstrap made from this machine's own mirror, once. */
export async function debianBase(apt: HostApt): Promise<string> {
  const source = createHash('sha256').update(apt.mirror).digest('hex').slice(0, 12);
  const finished = path.join(testCache(), `${apt.codename}-${apt.architecture}-${source}`);
  if (existsSync(finished)) return finished;
  mkdirSync(testCache(), { recursive: true });
  const directory = mkdtempSync(path.join(testCache(), 'debootstrap-'));
  try {
    const system = path.join(directory, 'system');
    // Whatever key apt trusts is as good here.
    const keyring = path.join(directory, 'keyring.gpg');
    const keys = globSync([
      '/usr/share/keyrings/*.gpg',
      '/etc/apt/keyrings/*.gpg',
      '/etc/apt/trusted.gpg.d/*.gpg',
    ]);
    writeFileSync(keyring, Buffer.concat(keys.map((file) => readFileSync(file))));
    await mustRun(
      'debootstrap',
      [
        '--variant=minbase',
        `--keyring=${keyring}`,
        `--arch=${apt.architecture}`,
        apt.codename,
        system,
        apt.mirror,
      ],
      { env: apt.proxy === undefined ? {} : { http_proxy: apt.proxy } },
    );
    const unfinished = path.join(directory, 'context');
    mkdirSync(unfinished);
    await mustRun('tar', [
      ...['-C', system, '--numeric-owner', '--xattrs', '--exclude=./var/cache/apt/archives/*.deb'],
      ...[
        '--exclude=./dev/*',
        '--exclude=./proc/*',
        '--exclude=./sys/*',
        '-cf',
        path.join(unfinished, 'system.tar'),
        '.',
      ],
    ]);
    renameSync(unfinished, finished);
    return finished;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
