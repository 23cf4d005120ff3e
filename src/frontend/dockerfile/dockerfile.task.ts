import type { Task } from '../../base/threads/task.ts';
import type { Question, ThreadRequest, ThreadResult, ThreadWarning } from '../bridge-questions.ts';
import { runInThisThread } from '../thread-bridge.ts';
import { createDockerfileFrontend } from './dockerfile-frontend.ts';

const solve: Task<ThreadRequest, ThreadResult, ThreadWarning, Question, unknown> = (request, context) =>
  runInThisThread(createDockerfileFrontend(), request, context);

export default solve;
