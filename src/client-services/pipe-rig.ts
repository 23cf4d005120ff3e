import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';

/** For tests: makes a named pipe in `directory`, into which a shell command writes once somebody reads it. */
export function pipeWith(command: string, directory: string): string {
  const pipe = path.join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  execFile('sh', ['-c', `${command} > ${pipe}`], () => {});
  return pipe;
}
