// Small pictures, drawn with the colour of the text around them.
const PATHS = {
  mill: 'M12 9a3 3 0 1 0 0 6a3 3 0 0 0 0-6M12 2v4M12 18v4M2 12h4M18 12h4M4.9 4.9l2.9 2.9M16.2 16.2l2.9 2.9M4.9 19.1l2.9-2.9M16.2 7.8l2.9-2.9',
  overview: 'M4 13h6V4H4zM14 9h6V4h-6zM4 20h6v-3H4zM14 20h6v-7h-6z',
  jobs: 'M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01',
  queues: 'M4 5h16v4H4zM4 11h16v4H4zM7 19h10',
  errors: 'M12 4L2.8 20h18.4zM12 10v5M12 17.6v.01',
  flows: 'M4 4h6v5H4zM14 9.5h6v5h-6zM4 15h6v5H4zM10 6.5h2v11h-2M12 12h2',
  workers: 'M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01M12 8h5M12 16h5',
  actions: 'M13 3L5 14h6l-1 7l8-11h-6z',
  delayed: 'M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16M12 8v4l3 2',
  ready: 'M12 5a7 7 0 1 0 0 14a7 7 0 0 0 0-14',
  blocked: 'M9 5v14M15 5v14',
  held: 'M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16M12 10a2 2 0 1 0 0 4a2 2 0 0 0 0-4',
  retrying: 'M20 12a8 8 0 1 1-2.6-5.9M20 3v5h-5',
  completed: 'M5 12.5l5 5L19.5 7',
  buried: 'M5 5h14v14H5zM9 9l6 6M15 9l-6 6',
  expired: 'M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16M12 8v4l-3 3',
  cancelled: 'M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16M6.5 17.5l11-11',
  good: 'M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M8 12.5l3 3l5.5-6',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M15.5 15.5L21 21',
  sun: 'M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z',
  screen: 'M3 5h18v11H3zM9 20h6M12 16v4',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  close: 'M6 6l12 12M18 6L6 18',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4.5v15l12-7.5z',
  cut: 'M12 3v12M7 10l5 5l5-5M4 20h16',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  empty: 'M4 13l3-8h10l3 8v6H4zM4 13h5l1.5 2.5h3L15 13h5',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, ...rest }: { name: IconName; class?: string }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      {...rest}
    >
      <path d={PATHS[name]} />
    </svg>
  )
}
