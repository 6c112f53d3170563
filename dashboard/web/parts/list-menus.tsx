// Above a list of jobs: the filters that have a name, and the choice of columns.
import { useState } from 'preact/hooks'
import { COLUMNS, type Column, hidden, toggleColumn } from '../app/columns.ts'
import { to } from '../app/router.ts'
import { deleteView, saveView, type View, views } from '../app/views.ts'
import { Icon } from './icons.tsx'
import { Menu } from './menu.tsx'
import { Name } from './show.tsx'

const MOST_NAME = 60

export function ViewsMenu({ queue, filter }: Pick<View, 'queue' | 'filter'>) {
  return (
    <Menu face="Views">
      {(close) => (
        <>
          {views.value.map((view) => (
            <div key={view.name} class="menu-row">
              <a
                href={to(['jobs'], { queue: view.queue, f: view.filter })}
                aria-current={view.queue === queue && view.filter === filter ? 'true' : undefined}
                onClick={close}
              >
                <span class="cut">
                  <Name of={view.name} />
                </span>
              </a>
              <button
                type="button"
                class="icon-button"
                aria-label={`Delete the view ${view.name}`}
                title="Delete this view"
                onClick={() => deleteView(view.name)}
              >
                <Icon name="close" />
              </button>
            </div>
          ))}
          {filter === '' && queue === '' ? (
            <p class="menu-text small muted">
              A view is a filter or a queue with a name, kept in this browser.
            </p>
          ) : (
            <SaveView queue={queue} filter={filter} />
          )}
        </>
      )}
    </Menu>
  )
}

function SaveView({ queue, filter }: Pick<View, 'queue' | 'filter'>) {
  const [name, setName] = useState('')
  const save = (event: Event) => {
    event.preventDefault()
    if (name.trim() === '') return
    saveView({ name: name.trim(), queue, filter })
    setName('')
  }
  return (
    <form class="menu-form" onSubmit={save}>
      <input
        class="field"
        aria-label="Name of this view"
        placeholder="Name of this view"
        maxLength={MOST_NAME}
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button type="submit" class="button small" disabled={name.trim() === ''}>
        Save
      </button>
    </form>
  )
}

export function ColumnsMenu() {
  return (
    <Menu face="Columns">
      {() =>
        (Object.keys(COLUMNS) as Column[]).map((column) => (
          <label key={column} class="menu-choice">
            <input
              type="checkbox"
              checked={!hidden.value.has(column)}
              onChange={() => toggleColumn(column)}
            />
            {COLUMNS[column]}
          </label>
        ))
      }
    </Menu>
  )
}
