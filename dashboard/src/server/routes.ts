// The table of all routes of the API, below /api/v1. Each says what it needs: there is no other way in.
import type { Route } from './route.ts'
import { actionRoutes } from './routes/actions.ts'
import { allJobRoutes } from './routes/all-jobs.ts'
import { errorRoutes } from './routes/errors.ts'
import { eventRoutes } from './routes/events.ts'
import { flowRoutes } from './routes/flows.ts'
import { historyRoutes } from './routes/history.ts'
import { jobRoutes } from './routes/jobs.ts'
import { outputRoutes } from './routes/output.ts'
import { queueRoutes } from './routes/queues.ts'
import { scheduleRoutes } from './routes/schedules.ts'
import { sessionRoutes } from './routes/session.ts'

export const routes: readonly Route[] = [
  ...sessionRoutes(() => routes),
  ...queueRoutes,
  ...jobRoutes,
  ...allJobRoutes,
  ...outputRoutes,
  ...actionRoutes,
  ...errorRoutes,
  ...scheduleRoutes,
  ...flowRoutes,
  ...eventRoutes,
  ...historyRoutes,
]
