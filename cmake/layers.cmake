# Which library may link to which: the table of ARCHITECTURE.md as data. An arrow that is not here
# fails the configure step, so a new one is a decision and not an accident.
set(AEGIS_MAY_USE_base)
set(AEGIS_MAY_USE_json base)
set(AEGIS_MAY_USE_crypto base json)
set(AEGIS_MAY_USE_rego base json crypto)
set(AEGIS_MAY_USE_policy base json crypto rego)
set(AEGIS_MAY_USE_identity base json crypto)
set(AEGIS_MAY_USE_decision base json crypto rego identity)
set(AEGIS_MAY_USE_audit base json crypto rego identity decision)
set(AEGIS_MAY_USE_telemetry base)
set(AEGIS_MAY_USE_net base)
set(AEGIS_MAY_USE_gateway base json crypto rego identity decision audit telemetry net)
set(AEGIS_MAY_USE_store base json)
set(AEGIS_MAY_USE_control base json crypto rego policy identity decision audit telemetry net store)
set(AEGIS_MAY_USE_cli base json crypto rego policy identity decision audit net)
set(AEGIS_MAY_USE_demo base net)
set(AEGIS_MAY_USE_app base json crypto rego policy identity decision audit telemetry net gateway store
    control cli demo)
