import type { Task } from '../base/threads/task.ts';
import { type PackLayerInput, packLayer } from './pack-layer.ts';

const packLayerTask: Task<PackLayerInput, void> = (input) => packLayer(input);

export default packLayerTask;
