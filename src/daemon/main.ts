import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { formatAddress, parseAddress } from '../api/address.ts';
import { GrpcServer } from '../api/grpc-server.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { version } from '../base/version.ts';
import { exitNow } from '../linux/exit-now.ts';
import { sessionHandler, sessionMethod } from '../session/tunnel.ts';
import { parseCommandLine } from './config/command-line.ts';
import { readConfig } from './config/config-file.ts';
import type { DaemonConfig } from './config/daemon-config.ts';
import { groupId } from './config/group-id.ts';
import { createDaemonLog, type DaemonLog } from './daemon-log.ts';
import { openEngine } from './open-engine.ts';

/** Milliseconds that clients have to read how their canceled builds ended. */
const farewell = 2_000;
/** Milliseconds after a signal to stop until the process ends, whatever it waits for. The next start cleans up. */
const lastResort = 30_000;

async function main(): Promise<void> {
  const commandLine = parseCommandLine(process.argv.slice(2), version);
  const read = await readConfig(commandLine.configFiles);
  const config = commandLine.apply(read.config);
  const log = createDaemonLog(config.log.level, config.log.format);
  for (const warning of [...read.warnings, ...commandLine.warnings]) log.warn(warning);

  const stop = stopSignal(log);
  await using engine = await openEngine(config, log, version);
  const server = new GrpcServer({
    handlers: new Map([[sessionMethod, sessionHandler(engine.sessions)]]),
    routes: engine.routes,
  });
  try {
    await listen(server, config, log);
    engine.warm();
    await stop;
  } finally {
    engine.builds.refuse(new KilnError('unavailable', 'the daemon is shutting down'));
    await engine.builds.cancelAll();
    await Promise.race([server.drain(), new Promise((resolve) => setTimeout(resolve, farewell).unref())]);
    await server[Symbol.asyncDispose]();
    await engine.flush();
  }
}

async function listen(server: GrpcServer, config: DaemonConfig, log: DaemonLog): Promise<void> {
  const tls = config.tls && (await readTls(config.tls));
  const gid = config.group === undefined ? undefined : await groupId(config.group);
  for (const text of config.addresses) {
    const address = parseAddress(text);
    if (address.kind === 'unix') await mkdir(path.dirname(address.path), { recursive: true, mode: 0o711 });
    else if (!tls)
      log.warn(`${text} is open to everybody who can reach it: set --tlscert, --tlskey and --tlscacert`);
    const at = await server.listen(address, address.kind === 'unix' ? { gid } : { tls });
    log.info(`running server on ${formatAddress(at)}`);
  }
}

async function readTls({ cert, key, ca }: NonNullable<DaemonConfig['tls']>) {
  if (!cert || !key) throw new KilnError('invalid_argument', 'TLS needs both --tlscert and --tlskey');
  return {
    cert: await readFile(cert, 'utf8'),
    key: await readFile(key, 'utf8'),
    ca: ca ? await readFile(ca, 'utf8') : undefined,
  };
}

/** Resolves at the first signal to stop. The second one ends the process at once, and so does `lastResort`. */
function stopSignal(log: DaemonLog): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (stopping) exitNow(1);
      stopping = true;
      log.info(`stopping: ${signal}`);
      setTimeout(() => {
        log.error(`not stopped after ${lastResort / 1000} seconds: ending as it is`);
        exitNow(1);
      }, lastResort).unref();
      resolve();
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
}

try {
  await main();
  process.exit(0);
} catch (cause) {
  const error = asKilnError(cause);
  process.stderr.write(`kilnd: ${error.message}\n${error.hint ? `hint: ${error.hint}\n` : ''}`);
  if (error.code === 'internal' || error.code === 'unknown')
    process.stderr.write(`${(error.cause as Error)?.stack ?? error.stack}\n`);
  process.exit(1);
}
