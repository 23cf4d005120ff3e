/** The daemon's own messages, on standard error. */
export interface DaemonLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'text' | 'json';

const order: Readonly<Record<LogLevel, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };

export function createDaemonLog(level: LogLevel, format: LogFormat): DaemonLog {
  const write = (of: LogLevel) => (message: string) => {
    if (order[of] < order[level]) return;
    const time = new Date().toISOString();
    const line =
      format === 'json' ? JSON.stringify({ time, level: of, msg: message }) : `${time} ${of}: ${message}`;
    process.stderr.write(`${line}\n`);
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

/** For an engine inside another program, which has its own way of telling. */
export const quietLog: DaemonLog = { debug() {}, info() {}, warn() {}, error() {} };
