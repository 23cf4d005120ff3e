import { bindIfPresent } from './libc.ts';

const mallocTrim = bindIfPresent('int malloc_trim(size_t pad)');

/** Gives memory that was freed back to the system: malloc_trim(3). Other libcs than glibc do so by themselves. */
export function trimMalloc(): void {
  mallocTrim?.(0);
}
