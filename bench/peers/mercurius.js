// Mercurius with JIT and mqemitter-redis, as its documentation sets them up: the part of our schema that the benchmarks
// use, by hand-written joins. Prints "ready <port>".
//
// Its news comes by LISTEN: the payload of each NOTIFY is the changed row (office.sql), published through Redis on a
// topic of its floor, so that a subscriber of another floor costs nothing.

import Fastify from 'fastify'
import mercurius from 'mercurius'
import mqemitterRedis from 'mqemitter-redis'
import pg from 'pg'

const PREPARED = {
  floor: 'WHERE w.building = $1 AND w.floor_number = $2 ORDER BY w.id',
  one: 'WHERE w.id = $1'
}

const COLUMNS = `SELECT w.id, w.name, w.status, w.building, w.floor_number AS "floorNumber",
  w.x_position::float8 AS "xPosition", w.y_position::float8 AS "yPosition",
  w.width::float8 AS width, w.height::float8 AS height, w.notes, w.version,
  w.created_at AS "createdAt", w.updated_at AS "updatedAt", e.employee_number AS "employeeId",
  d.id AS "departmentId", d.name AS "departmentName", e.id AS "employeeKey", e.name AS "employeeName"
  FROM workstations w LEFT JOIN departments d ON d.id = w.department_id LEFT JOIN employees e ON e.id = w.employee_id `

const schema = `
  enum WorkstationStatus { AVAILABLE OCCUPIED MAINTENANCE RESERVED }
  enum FeedKind { SNAPSHOT CHANGES RESYNC PROGRESS }
  type Department { id: ID! name: String! }
  type Employee { id: ID! name: String! }
  type Workstation {
    id: ID! name: String! status: WorkstationStatus! building: String floorNumber: Int
    xPosition: Float yPosition: Float width: Float height: Float notes: String
    employeeId: String version: Int createdAt: String! updatedAt: String
    department: Department employee: Employee
  }
  type Floor { building: String! number: Int! workstations: [Workstation!]! }
  type WorkstationConnection { nodes: [Workstation!]! totalCount: Int! }
  type WorkstationChanged { workstation: Workstation! }
  type WorkstationFeed { kind: FeedKind! cursor: ID! workstations: [Workstation!]! removed: [ID!]! }
  input WorkstationFilter { building: String floorNumber: Int statuses: [WorkstationStatus!] }
  type Query {
    floor(building: String!, number: Int!): Floor
    workstation(id: ID!): Workstation
    workstations(filter: WorkstationFilter, first: Int!): WorkstationConnection!
  }
  type Mutation { setWorkstationStatus(id: ID!, status: WorkstationStatus!): WorkstationChanged }
  type Subscription { workstationChanges(filter: WorkstationFilter): WorkstationFeed! }
`

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })

const shown = (row) => ({
  ...row,
  status: row.status.toUpperCase(),
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
  department: row.departmentId === null ? null : { id: row.departmentId, name: row.departmentName },
  employee: row.employeeKey === null ? null : { id: row.employeeKey, name: row.employeeName }
})

const select = async (name, values) => {
  const { rows } = await pool.query({ name, text: COLUMNS + PREPARED[name], values })
  return rows.map(shown)
}

const PAGE = ` FROM workstations w WHERE w.building = $1 AND w.status = ANY($2)`

const resolvers = {
  Query: {
    floor: async (_, { building, number }) => ({
      building, number, workstations: await select('floor', [building, number])
    }),
    workstation: async (_, { id }) => (await select('one', [id]))[0],
    workstations: (_, { filter, first }) => ({ filter, first })
  },
  WorkstationConnection: {
    nodes: async ({ filter, first }) => {
      const values = [filter.building, filter.statuses.map((status) => status.toLowerCase()), first]
      const text = `${COLUMNS} WHERE w.building = $1 AND w.status = ANY($2) ORDER BY w.id LIMIT $3`
      return (await pool.query({ name: 'page', text, values })).rows.map(shown)
    },
    totalCount: async ({ filter }) => {
      const values = [filter.building, filter.statuses.map((status) => status.toLowerCase())]
      const { rows } = await pool.query({ name: 'total', text: `SELECT count(*)::int AS total${PAGE}`, values })
      return rows[0].total
    }
  },
  Mutation: {
    setWorkstationStatus: async (_, { id, status }) => {
      const { rows } = await pool.query({
        name: 'set status',
        text: `WITH w AS (UPDATE workstations SET status = $2 WHERE id = $1 RETURNING *) ${
          COLUMNS.replace('FROM workstations w', 'FROM w')}`,
        values: [id, status.toLowerCase()]
      })
      return rows.length ? { workstation: shown(rows[0]) } : null
    }
  },
  Subscription: {
    workstationChanges: {
      subscribe: (_, { filter }, { pubsub }) => pubsub.subscribe(topic(filter.building, filter.floorNumber))
    }
  }
}

const topic = (building, floor) => `floor/${building}/${floor}`

const emitter = mqemitterRedis({ connectionString: process.env.REDIS_URL })
const app = Fastify()
app.register(mercurius, { schema, resolvers, jit: 1, subscription: { emitter } })

const listener = new pg.Client({ connectionString: process.env.DATABASE_URL })
listener.on('notification', ({ payload }) => {
  const row = JSON.parse(payload)
  const workstation = {
    id: row.id,
    name: row.name,
    status: row.status.toUpperCase(),
    version: row.version,
    xPosition: row.x_position,
    yPosition: row.y_position
  }
  emitter.emit({
    topic: topic(row.building, row.floor_number),
    payload: { workstationChanges: { kind: 'CHANGES', cursor: row.version, workstations: [workstation], removed: [] } }
  })
})
await listener.connect()
await listener.query('LISTEN workstations')
await app.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
console.log(`ready ${app.server.address().port}`)
