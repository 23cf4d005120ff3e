import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** For tests: somebody with a key of OpenPGP, by GnuPG. */
export class OpenPgpSigner implements Disposable {
  /** GnuPG's own: short, as the path of its agent's socket has to be. */
  readonly home: string;
  /** Of the key. */
  readonly fingerprint: string;
  #publicKey = '';

  private constructor(home: string, fingerprint: string) {
    this.home = home;
    this.fingerprint = fingerprint;
  }

  /** `algorithm` as GnuPG names it; `expires` in its form, or `at`, a time in GnuPG's form at which the key is made. */
  static async create({
    algorithm = 'ed25519',
    expires = 'never',
    at,
  }: {
    readonly algorithm?: string;
    readonly expires?: string;
    readonly at?: string;
  } = {}): Promise<OpenPgpSigner> {
    const home = mkdtempSync(path.join(tmpdir(), 'kiln-gpg-'));
    const time = at === undefined ? [] : ['--faked-system-time', at];
    const user = 'test <test@example.test>';
    await run('gpg', [...gpgArgs(home), ...time, '--quick-gen-key', user, algorithm, 'sign', expires]);
    const { stdout } = await run('gpg', [...gpgArgs(home), '--with-colons', '--list-keys']);
    const signer = new OpenPgpSigner(home, /^fpr:+([0-9A-F]+):/m.exec(stdout)![1]!);
    await signer.refresh();
    return signer;
  }

  /** Armoured. */
  get publicKey(): string {
    return this.#publicKey;
  }

  /** Reads the key again, after a change. */
  async refresh(): Promise<void> {
    const { stdout } = await run('gpg', [...gpgArgs(this.home), '--armor', '--export']);
    this.#publicKey = stdout;
  }

  /** Adds a key below the key, which signs from then on; `expires` and `at` as for `create`. */
  async addSubkey(expires: string, at: string): Promise<void> {
    const add = ['--quick-add-key', this.fingerprint, 'ed25519', 'sign', expires];
    await run('gpg', [...gpgArgs(this.home), '--faked-system-time', at, ...add]);
    await this.refresh();
  }

  /** A detached signature, armoured. */
  async sign(text: string, options: readonly string[] = []): Promise<string> {
    const file = path.join(this.home, 'text');
    writeFileSync(file, text);
    const { stdout } = await run('gpg', [
      ...gpgArgs(this.home),
      ...options,
      ...['--armor', '--output', '-', '--detach-sign', file],
    ]);
    return stdout;
  }

  async revoke(): Promise<void> {
    const file = path.join(this.home, 'openpgp-revocs.d', `${this.fingerprint}.rev`);
    const certificate = readFileSync(file, 'utf8').replace(':-----BEGIN', '-----BEGIN');
    writeFileSync(path.join(this.home, 'revocation'), certificate);
    await run('gpg', [...gpgArgs(this.home), '--import', path.join(this.home, 'revocation')]);
    await this.refresh();
  }

  /** Ends GnuPG's agent, too: it does so by itself when its directory is gone. */
  [Symbol.dispose](): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

function gpgArgs(home: string): readonly string[] {
  return [
    '--homedir',
    home,
    '--batch',
    '--quiet',
    '--no-tty',
    '--pinentry-mode',
    'loopback',
    '--passphrase',
    '',
  ];
}

/** For tests: somebody with a key of OpenSSH. */
export class SshSigner implements Disposable {
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'kiln-ssh-key-'));

  private constructor() {}

  /** `options` as `ssh-keygen` has them. */
  static async create(options: readonly string[] = ['-t', 'ed25519']): Promise<SshSigner> {
    const signer = new SshSigner();
    await run('ssh-keygen', [...options, '-q', '-N', '', '-C', 'test', '-f', signer.keyFile]);
    return signer;
  }

  get keyFile(): string {
    return path.join(this.#directory, 'key');
  }

  /** A line of `authorized_keys`. */
  get publicKey(): string {
    return readFileSync(`${this.keyFile}.pub`, 'utf8');
  }

  /** A detached signature, armoured. */
  async sign(text: string, namespace: string, options: readonly string[] = []): Promise<string> {
    const file = path.join(this.#directory, 'text');
    writeFileSync(file, text);
    rmSync(`${file}.sig`, { force: true });
    await run('ssh-keygen', ['-Y', 'sign', '-q', '-f', this.keyFile, '-n', namespace, ...options, file]);
    return readFileSync(`${file}.sig`, 'utf8');
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
