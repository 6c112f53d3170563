// The first thing that runs in a browser: what page belongs to the address, and the loop that keeps it up to
// date.
import './style/index.css'
import { render } from 'preact'
import { listenToKeys } from './app/keys.ts'
import { begin, follow, me, trouble } from './app/live.ts'
import { followLinks, path } from './app/router.ts'
import { showTheme } from './app/settings.ts'
import { ActionsPage } from './pages/actions.tsx'
import { ErrorPage, ErrorsPage } from './pages/errors.tsx'
import { FlowPage } from './pages/flow.tsx'
import { FlowsPage } from './pages/flows.tsx'
import { JobPage } from './pages/job.tsx'
import { JobsPage } from './pages/jobs.tsx'
import { Overview } from './pages/overview.tsx'
import { QueuePage } from './pages/queue.tsx'
import { QueuesPage } from './pages/queues.tsx'
import { SchedulePage } from './pages/schedule.tsx'
import { SchedulesPage } from './pages/schedules.tsx'
import { SignIn } from './pages/sign-in.tsx'
import { WorkersPage } from './pages/workers.tsx'
import { Blank, Failed, Loading } from './parts/feedback.tsx'
import { Frame } from './parts/frame.tsx'

function App() {
  if (!me.value)
    return trouble.value?.status === 401 ? (
      <SignIn />
    ) : (
      <main class="page">
        {trouble.value ? (
          <Failed error={trouble.value} again={() => void begin()} what="the dashboard" isPage />
        ) : (
          <Loading what="the dashboard" />
        )}
      </main>
    )
  return (
    <Frame>
      <Page />
    </Frame>
  )
}

function Page() {
  const [first = '', namespace, name, id] = path.value
  if (first === '') return <Overview />
  if (first === 'jobs') return <JobsPage />
  if (first === 'job' && namespace && name && id)
    return <JobPage namespace={namespace} queue={name} id={id} />
  if (first === 'queues' && namespace && name) return <QueuePage namespace={namespace} name={name} />
  if (first === 'queues') return <QueuesPage />
  if (first === 'errors' && namespace && name && id)
    return <ErrorPage namespace={namespace} queue={name} group={id} />
  if (first === 'errors') return <ErrorsPage />
  if (first === 'schedules' && namespace && name && id)
    return <SchedulePage namespace={namespace} queue={name} name={id} />
  if (first === 'schedules') return <SchedulesPage />
  if (first === 'flows' && namespace && name && id)
    return <FlowPage namespace={namespace} queue={name} id={id} />
  if (first === 'flows') return <FlowsPage />
  if (first === 'workers') return <WorkersPage />
  if (first === 'actions') return <ActionsPage />
  return (
    <Blank title="There is no such page" isPage>
      <p>
        <a href="./">Go to the overview</a>
      </p>
    </Blank>
  )
}

showTheme()
followLinks()
listenToKeys()
follow()
void begin()
const root = document.querySelector('#app')
if (root) render(<App />, root)
