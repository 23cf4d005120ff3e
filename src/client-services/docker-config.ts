import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { ownValue } from '../base/own-value.ts';
import { trimEnd } from '../base/text/trim-end.ts';

/** What Docker's `config.json` and its credential helpers know about a registry. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  /** An OAuth2 refresh token, instead of a password. */
  readonly identityToken: string;
  /** A bearer token to be used as it is. */
  readonly registryToken: string;
}

/** Docker Hub is known under one name on the network and under another in the configuration. */
const hubHost = 'registry-1.docker.io';
const hubKey = 'https://index.docker.io/v1/';
/** The user name by which helpers mark an identity token. */
const tokenUser = '<token>';
const noLogin: RegistryLogin = { username: '', password: '', identityToken: '', registryToken: '' };

/** `$DOCKER_CONFIG`, or `~/.docker`. */
export function defaultDockerConfigDirectory(): string {
  return process.env.DOCKER_CONFIG || path.join(homedir(), '.docker');
}

/**
 * The login for a host, all empty when there is none. A missing file counts as empty; one that cannot be parsed, or a
 * helper that fails, throws `failed_precondition`.
 */
export async function readRegistryLogin(directory: string, host: string): Promise<RegistryLogin> {
  const config = await readConfig(path.join(directory, 'config.json'));
  const key = host === hubHost ? hubKey : host;
  const helper =
    stringAt(config.credHelpers, key) ?? (typeof config.credsStore === 'string' ? config.credsStore : '');
  if (helper !== '') return await askHelper(helper, key);
  const auths = objectOf(config.auths);
  const entry =
    ownValue(auths, key) ?? Object.entries(auths).find(([name]) => hostOf(name) === hostOf(key))?.[1];
  return loginOf(objectOf(entry));
}

type JsonObject = Readonly<Record<string, unknown>>;

function objectOf(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : {};
}

function stringAt(value: unknown, key: string): string | undefined {
  const found = ownValue(objectOf(value), key);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

async function readConfig(file: string): Promise<JsonObject> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return {};
    throw error;
  }
  try {
    return objectOf(JSON.parse(text));
  } catch (cause) {
    throw new KilnError('failed_precondition', `${file} is not valid JSON`, { cause });
  }
}

/** `https://host/v1/` and `host` are the same registry. */
function hostOf(name: string): string {
  return name.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

function loginOf(entry: JsonObject): RegistryLogin {
  const auth = stringAt(entry, 'auth');
  const [, user = '', secret = ''] =
    auth === undefined ? [] : (/^([^:]*):(.*)$/s.exec(Buffer.from(auth, 'base64').toString()) ?? []);
  return {
    username: stringAt(entry, 'username') ?? user,
    // Docker pads with zero bytes.
    password: stringAt(entry, 'password') ?? trimEnd(secret, '\0'),
    identityToken: stringAt(entry, 'identitytoken') ?? '',
    registryToken: stringAt(entry, 'registrytoken') ?? '',
  };
}

/** The protocol of docker-credential-helpers: the server's name in, JSON out. */
async function askHelper(helper: string, key: string): Promise<RegistryLogin> {
  const program = `docker-credential-${helper}`;
  const { code, output } = await run(program, ['get'], key);
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return noLogin;
    throw new KilnError('failed_precondition', `${program} failed for ${key}: ${output.trim()}`);
  }
  let answer: JsonObject;
  try {
    answer = objectOf(JSON.parse(output));
  } catch (cause) {
    throw new KilnError('failed_precondition', `${program} answered something that is not JSON`, { cause });
  }
  const username = stringAt(answer, 'Username') ?? '';
  const secret = stringAt(answer, 'Secret') ?? '';
  return username === tokenUser
    ? { ...noLogin, identityToken: secret }
    : { ...noLogin, username, password: secret };
}

function run(
  program: string,
  args: readonly string[],
  input: string,
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('error', (cause) =>
      reject(
        new KilnError('failed_precondition', `cannot run ${program}: ${cause.message}`, {
          cause,
          hint: "install it, or remove it from Docker's config.json",
        }),
      ),
    );
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
