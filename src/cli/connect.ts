import { clientTlsFilesIn, loadClientTls } from '../client/client-tls.ts';
import type { Connection } from '../client/connection.ts';
import type { EngineChoice } from './options/global-options.ts';

/** Reaches the engine. What is not needed for it is not even loaded: an engine of one's own costs a start-up time. */
export async function connect(choice: EngineChoice, signal: AbortSignal): Promise<Connection> {
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
      return openInProcessEngine({ root: choice.root, configFile: choice.configFile, signal });
    }
  }
}
