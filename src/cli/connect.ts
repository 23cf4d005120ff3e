import { clientTlsFilesIn, loadClientTls } from '../client/client-tls.ts';
import type { Connection } from '../client/connection.ts';
import type { CommandContext } from './command-context.ts';

/** Reaches the engine; says when that takes the end of another process, unless `silent`. What is not needed for it is not even loaded: an engine of one's own costs a start-up time. */
export async function connect(
  { engine: choice, signal, stderr }: Pick<CommandContext, 'engine' | 'signal' | 'stderr'>,
  { silent = false }: { readonly silent?: boolean } = {},
): Promise<Connection> {
  switch (choice.kind) {
    case 'daemon': {
      const { connectDaemon } = await import('../client/connect-daemon.ts');
      const files = 'directory' in choice.tls ? await clientTlsFilesIn(choice.tls.directory) : choice.tls;
      const tls = await loadClientTls(files);
      const { timeout, wait } = choice;
      return connectDaemon(choice.address, { tls, timeout, wait, signal });
    }
    case 'in-process': {
      const { openInProcessEngine } = await import('../daemon/in-process.ts');
      const { root, configFile } = choice;
      const onWait = (message: string) => void (silent || stderr.write(`${message}\n`));
      return openInProcessEngine({ root, configFile, signal, onWait });
    }
  }
}
