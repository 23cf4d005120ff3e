import { BroadcastChannel, threadId } from 'node:worker_threads';

/** Tells everybody who listens in which thread it ran. */
export default function tidy(): void {
  const channel = new BroadcastChannel('tidied');
  channel.postMessage(threadId);
  channel.close();
}
