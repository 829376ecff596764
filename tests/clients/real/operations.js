// What every client is asked to do. Relay has the same in relay/office.js, compiled.

export const operations = {
  desks: `
    query Desks {
      workstations(filter: { building: "总部A座" }, first: 2) {
        nodes { id name status }
        pageInfo { hasNextPage endCursor }
      }
    }`,
  tooMany: `
    query TooMany {
      workstations(first: 100000) { totalCount }
    }`,
  occupy: `
    mutation Occupy($id: ID!) {
      setWorkstationStatus(id: $id, status: OCCUPIED) {
        __typename
        ... on WorkstationChanged { workstation { id status } }
        ... on Refusal { code message }
      }
    }`,
  follow: `
    subscription Follow {
      workstationChanges(filter: { building: "总部A座", floorNumber: 3 }) {
        kind cursor workstations { id name status notes } removed
      }
    }`,
};
