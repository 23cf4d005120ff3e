import { KilnError } from '../../base/errors.ts';
import type { ClientTlsFiles } from '../../client/client-tls.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The flags that every command has, as commander gives them. */
export interface GlobalFlags {
  readonly addr?: string;
  readonly root?: string;
  readonly config?: string;
  readonly debug?: boolean;
  readonly timeout: string;
  readonly wait?: boolean;
  readonly tlsservername?: string;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsdir?: string;
}

/** Which engine does the work. */
export type EngineChoice =
  | {
      readonly kind: 'daemon';
      readonly address: string;
      readonly tls: { readonly directory: string } | ClientTlsFiles;
      /** Milliseconds. */
      readonly timeout: number;
      readonly wait: boolean;
    }
  | { readonly kind: 'in-process'; readonly root: string; readonly configFile: string | undefined };

const defaultRoot = '/var/lib/kiln';

/** `--addr`, `$KILN_HOST` or `$BUILDKIT_HOST` name a daemon; with none the engine runs in this process. */
export function chooseEngine(flags: GlobalFlags, environment: Environment): EngineChoice {
  const address = flags.addr || environment.KILN_HOST || environment.BUILDKIT_HOST;
  if (!address) {
    return {
      kind: 'in-process',
      root: flags.root ?? (environment.KILN_ROOT || defaultRoot),
      configFile: flags.config,
    };
  }
  if (flags.root !== undefined) {
    throw new KilnError('invalid_argument', `--root is for builds without a daemon, but ${address} is one`, {
      hint: 'leave out --root, or --addr and $KILN_HOST and $BUILDKIT_HOST',
    });
  }
  const seconds = Number(flags.timeout);
  if (!Number.isFinite(seconds) || seconds <= 0) {
    throw new KilnError('invalid_argument', `--timeout ${flags.timeout}: not a number of seconds`);
  }
  return {
    kind: 'daemon',
    address,
    tls: tlsOf(flags, address),
    timeout: seconds * 1000,
    wait: flags.wait ?? false,
  };
}

function tlsOf(flags: GlobalFlags, address: string): { readonly directory: string } | ClientTlsFiles {
  const { tlsservername, tlscacert, tlscert, tlskey, tlsdir } = flags;
  if (tlsdir === undefined) {
    return {
      serverName:
        tlsservername ?? (URL.canParse(address) ? new URL(address).hostname || undefined : undefined),
      caCertificate: tlscacert,
      certificate: tlscert,
      key: tlskey,
    };
  }
  if (tlscacert ?? tlscert ?? tlskey) {
    throw new KilnError(
      'invalid_argument',
      '--tlsdir cannot be used with --tlscacert, --tlscert or --tlskey',
    );
  }
  return { directory: tlsdir };
}
