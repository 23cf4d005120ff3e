import { openNativeSnapshotter } from './native-snapshotter.ts';
import { snapshotterSuite } from './snapshotter-suite.ts';

snapshotterSuite('the native snapshotter', openNativeSnapshotter);
