// The keys of this page.
import { allKeys } from '../app/keys.ts'
import { Dialog } from './dialog.tsx'

export function KeyHelp({ close }: { close: () => void }) {
  const keys = [...new Map(allKeys().map((key) => [key.keys, key])).values()]
  return (
    <Dialog title="Keys" close={close} wide>
      <div class="inside">
        <h2>Keys</h2>
        <dl class="keys">
          {keys.map(({ keys, does }) => (
            <div key={keys}>
              <dt>
                {keys.split(' ').map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <p class="small muted">
          They rest while you write, and can be turned off in the menu at the top right.
        </p>
        <div class="actions">
          <button type="button" class="button" onClick={close}>
            Close
          </button>
        </div>
      </div>
    </Dialog>
  )
}
