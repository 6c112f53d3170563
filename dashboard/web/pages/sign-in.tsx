// For whoever the server does not know yet: a token becomes a cookie.
import { useState } from 'preact/hooks'
import { send, sentence } from '../app/api.ts'
import { begin, trouble } from '../app/live.ts'
import { Icon } from '../parts/icons.tsx'

export function SignIn() {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState('')
  const signIn = async (event: Event) => {
    event.preventDefault()
    setProblem('')
    try {
      await send('POST', 'session', { token: token.trim() })
      await begin()
    } catch (error) {
      setProblem(sentence(error))
    }
  }
  return (
    <main class="page sign-in">
      <form class="card" onSubmit={signIn}>
        <h1>
          <Icon name="mill" /> Millhand
        </h1>
        <p class="muted">{trouble.value?.message}</p>
        <label>
          Token
          <input
            class="field"
            type="password"
            autocomplete="off"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <p class="small muted">
          In a cluster: <code>kubectl create token SERVICEACCOUNT</code>. It is kept by this browser in a
          cookie that no script can read.
        </p>
        {problem && (
          <p class="danger" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" class="button primary" disabled={token.trim() === ''}>
          Sign in
        </button>
      </form>
    </main>
  )
}
