import { shrinkHeap } from './shrink-heap.ts';

/** Of the thread that it runs in. */
export default shrinkHeap;
