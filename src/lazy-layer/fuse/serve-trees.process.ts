import { serveTrees } from './serve-trees.ts';

// Signals are meant for the process that started this one, whose end is the end of this one's input.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
serveTrees(process.ppid);
process.exit(0);
