"""Users, roles and permissions, by the client of MLflow 3. Against a real server it must run with
`--app-name basic-auth`, and MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be its administrator's."""

import mlflow
import pytest
import requests
from conftest import TOKEN, URL
from people import OTHER, PASSWORD, acting, admin

LEVELS = ["READ", "USE", "EDIT", "MANAGE", "DENY"]


@pytest.fixture
def auth():
    return admin()


@pytest.fixture
def user(auth, name):
    """A new user's name."""
    auth.create_user(name, PASSWORD)
    return name


@pytest.fixture
def model(client, name):
    """A new registered model's name."""
    return client.create_registered_model(f"model-{name}").name


@pytest.fixture
def of(user):
    """HTTP as that user."""
    def call(method, path, **options):
        return requests.request(method, URL + path, auth=(user, PASSWORD), timeout=60, **options)

    return call


@pytest.fixture
def call(raw):
    """HTTP as the administrator."""
    def call(method, path, **options):
        if not TOKEN:
            import os
            options["auth"] = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
        return raw(method, path, **options)

    return call


@pytest.mark.calls("POST users/create", "GET users/get", "PATCH users/update-admin", "DELETE users/delete")
def test_a_user_lives_and_dies(auth, client, name, refused):
    made = auth.create_user(name, PASSWORD)
    assert (made.username, made.is_admin) == (name, False) and isinstance(made.id, int)
    refused("RESOURCE_ALREADY_EXISTS", auth.create_user, name, PASSWORD)
    refused("INVALID_PARAMETER_VALUE", auth.create_user, f"{name}-2", "short")
    assert auth.get_user(name).id == made.id
    with acting(name):
        assert auth.get_user(name).id == made.id
        with pytest.raises(mlflow.MlflowException):
            auth.get_user("admin")
        with pytest.raises(mlflow.MlflowException):
            auth.update_user_admin(name, True)
        with pytest.raises(mlflow.MlflowException):
            auth.delete_user("admin")
    auth.update_user_admin(name, True)
    assert auth.get_user(name).is_admin is True
    with acting(name):
        assert auth.get_user("admin").username == "admin"
        refused("BAD_REQUEST", auth.delete_user, name)
    auth.update_user_admin(name, False)
    assert auth.get_user(name).is_admin is False
    auth.delete_user(name)
    with acting(name), pytest.raises(mlflow.MlflowException):
        client.search_experiments()
    for call in (auth.get_user, auth.delete_user):
        refused("RESOURCE_DOES_NOT_EXIST", call, name)
    refused("RESOURCE_DOES_NOT_EXIST", auth.update_user_admin, name, True)
    refused("RESOURCE_DOES_NOT_EXIST", auth.update_user_password, name, PASSWORD)


@pytest.mark.bottega
def test_the_next_user_of_a_name_inherits_nothing(auth, client, experiment, user):
    number = auth.get_user(user).id
    auth.grant_user_permission(user, "experiment", experiment, "MANAGE")
    with acting(user):
        assert client.get_experiment(experiment)
    auth.delete_user(user)
    assert auth.create_user(user, PASSWORD).id != number
    with acting(user), pytest.raises(mlflow.MlflowException, match="RESOURCE_DOES_NOT_EXIST"):
        client.get_experiment(experiment)


@pytest.mark.calls("PATCH users/update-password")
def test_passwords(auth, client, user, refused):
    with acting(user):
        refused("INVALID_PARAMETER_VALUE", auth.update_user_password, user, OTHER)
        refused("INVALID_PARAMETER_VALUE", auth.update_user_password, user, OTHER, current_password="wrong one")
        refused("INVALID_PARAMETER_VALUE", auth.update_user_password, user, PASSWORD, current_password=PASSWORD)
        with pytest.raises(mlflow.MlflowException):
            auth.update_user_password("admin", OTHER)
        auth.update_user_password(user, OTHER, current_password=PASSWORD)
        with pytest.raises(mlflow.MlflowException):
            client.search_experiments()
    with acting(user, OTHER):
        client.search_experiments()
    auth.update_user_password(user, PASSWORD)
    with acting(user):
        client.search_experiments()


@pytest.mark.calls("GET users/current", "GET users/list")
def test_who_calls_and_who_there_is(auth, user, of, call):
    me = of("GET", "/api/2.0/mlflow/users/current").json()
    assert me == {"user": {"id": auth.get_user(user).id, "username": user, "is_admin": False}, "is_basic_auth": True}
    role = auth.create_role("default", f"role {user}")
    auth.assign_role(user, role.id)
    users = {one["username"]: one for one in call("GET", "/api/2.0/mlflow/users/list").json()["users"]}
    assert users["admin"]["is_admin"] is True and users["admin"]["roles"] == []
    assert (users[user]["is_admin"], [one["name"] for one in users[user]["roles"]]) == (False, [role.name])
    current = call("GET", "/api/2.0/mlflow/users/current").json()
    assert (current["user"]["username"], current["user"]["is_admin"]) == ("admin", True)


@pytest.mark.parametrize("body", [
    {}, {"username": "x"}, {"password": PASSWORD}, {"username": "", "password": PASSWORD},
    {"username": "somebody", "password": ""}, {"username": "somebody", "password": "short"},
])
def test_a_user_that_is_none(call, body):
    answer = call("POST", "/api/2.0/mlflow/users/create", json=body)
    assert answer.status_code == 400, answer.text


@pytest.mark.calls("POST users/permissions/grant", "POST users/permissions/revoke", "GET users/permissions/get")
def test_a_permission_lives_and_dies(auth, experiment, model, user, refused):
    for kind, thing in (("experiment", experiment), ("registered_model", model)):
        for level in LEVELS:
            auth.grant_user_permission(user, kind, thing, level)
            refused("RESOURCE_ALREADY_EXISTS", auth.grant_user_permission, user, kind, thing, "READ")
            found = auth.get_user_permission(user, kind, thing)
            assert (found.permission, found.allowed) == (level, level in ("USE", "EDIT", "MANAGE"))
            auth.revoke_user_permission(user, kind, thing)
        refused("RESOURCE_DOES_NOT_EXIST", auth.revoke_user_permission, user, kind, thing)
    nobody = f"{user}-nobody"
    refused("RESOURCE_DOES_NOT_EXIST", auth.grant_user_permission, nobody, "experiment", experiment, "READ")
    refused("RESOURCE_DOES_NOT_EXIST", auth.revoke_user_permission, nobody, "experiment", experiment)
    refused("RESOURCE_DOES_NOT_EXIST", auth.get_user_permission, nobody, "experiment", experiment)


@pytest.mark.parametrize("kind, level", [
    ("experiment", "NO_PERMISSIONS"), ("experiment", "read"), ("experiment", "OWN"), ("nonsense", "READ"),
    ("workspace", "USE"),
])
def test_permissions_that_there_are_none_of(auth, experiment, user, refused, kind, level):
    refused("INVALID_PARAMETER_VALUE", auth.grant_user_permission, user, kind, experiment, level)


@pytest.mark.bottega
@pytest.mark.parametrize("kind", ["run", "trace", "prompt", "scorer", "gateway_endpoint", "mcp_server"])
def test_what_has_no_permissions_of_its_own_here(auth, user, refused, kind):
    said = refused("INVALID_PARAMETER_VALUE", auth.grant_user_permission, user, kind, "*", "READ")
    assert f"resource_type '{kind}' is not supported" in str(said)


@pytest.mark.bottega
def test_levels_let_do_what_they_say(auth, client, experiment, model, user):
    """READ sees, EDIT logs and tags, MANAGE deletes and lets others in; DENY beats what a role gives."""
    run = client.create_run(experiment).info.run_id

    def may(call, *arguments):
        with acting(user):
            try:
                call(*arguments)
            except mlflow.MlflowException as refused:
                return refused.error_code
            return True

    def give(level):
        for kind, thing in (("experiment", experiment), ("registered_model", model)):
            try:
                auth.revoke_user_permission(user, kind, thing)
            except mlflow.MlflowException:
                pass
            if level:
                auth.grant_user_permission(user, kind, thing, level)

    def tried():
        return [
            may(client.get_experiment, experiment), may(client.log_metric, run, "m", 1.0),
            may(client.set_experiment_tag, experiment, "k", "v"), may(client.get_registered_model, model),
            may(client.set_registered_model_tag, model, "k", "v"),
            may(auth.grant_user_permission, user, "experiment", experiment, "READ"),
        ]

    gone, no = "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"
    assert tried() == [gone] * 6
    give("READ")
    assert tried() == [True, no, no, True, no, no]
    give("EDIT")
    assert tried() == [True, True, True, True, True, no]
    give("MANAGE")
    assert tried() == [True, True, True, True, True, "RESOURCE_ALREADY_EXISTS"]
    give("DENY")
    assert tried() == [gone] * 6
    role = auth.create_role("default", f"all of {user}")
    auth.add_role_permission(role.id, "experiment", "*", "MANAGE")
    auth.assign_role(user, role.id)
    assert may(client.get_experiment, experiment) == gone
    give(None)
    assert may(client.get_experiment, experiment) is True
    assert may(client.get_registered_model, model) == gone
    auth.delete_role(role.id)
    assert may(client.get_experiment, experiment) == gone


@pytest.mark.bottega
def test_what_one_may_not_see_is_not_there(auth, experiment, user, refused):
    with acting(user):
        there = refused("RESOURCE_DOES_NOT_EXIST", auth.grant_user_permission, user, "experiment", experiment, "READ")
        absent = refused("RESOURCE_DOES_NOT_EXIST", auth.grant_user_permission, user, "experiment", "999999", "READ")
        assert str(there).replace(experiment, "999999") == str(absent)
        for one in (experiment, "999999"):
            assert auth.get_user_permission(user, "experiment", one).permission == "NO_PERMISSIONS"
        auth_of_another = ("admin", "experiment", experiment)
        refused("PERMISSION_DENIED", auth.get_user_permission, *auth_of_another)
        refused("PERMISSION_DENIED", auth.get_user, "admin")
        refused("PERMISSION_DENIED", auth.get_user, "nobody-at-all")


@pytest.mark.bottega
def test_a_manager_lets_others_in(auth, client, experiment, user, name):
    friend = f"{name}-friend"
    auth.create_user(friend, PASSWORD)
    auth.grant_user_permission(user, "experiment", experiment, "MANAGE")
    with acting(user):
        auth.grant_user_permission(friend, "experiment", experiment, "READ")
        assert auth.get_user_permission(friend, "experiment", experiment).permission == "READ"
    with acting(friend):
        assert client.get_experiment(experiment)
    with acting(user):
        auth.revoke_user_permission(friend, "experiment", experiment)
    with acting(friend), pytest.raises(mlflow.MlflowException, match="RESOURCE_DOES_NOT_EXIST"):
        client.get_experiment(experiment)


@pytest.mark.calls("GET users/current/permissions", "GET users/permissions/list")
def test_permissions_are_listed(auth, experiment, user, of, call):
    auth.grant_user_permission(user, "experiment", experiment, "EDIT")
    role = auth.create_role("default", f"readers {user}")
    auth.add_role_permission(role.id, "registered_model", "*", "READ")
    auth.assign_role(user, role.id)
    for listed in (
        of("GET", "/api/3.0/mlflow/users/current/permissions").json(),
        call("GET", "/api/3.0/mlflow/users/permissions/list", params={"username": user}).json(),
    ):
        assert listed["is_admin"] is False
        rows = sorted(listed["permissions"], key=lambda row: row["resource_type"])
        assert [(row["resource_type"], row["resource_pattern"], row["permission"], row["workspace"]) for row in rows] == [
            ("experiment", experiment, "EDIT", "default"), ("registered_model", "*", "READ", "default")]
        assert rows[0]["role_name"].startswith("__user_") and (rows[1]["role_id"], rows[1]["role_name"]) == (role.id, role.name)
    answer = of("GET", "/api/3.0/mlflow/users/permissions/list", params={"username": "admin"})
    assert answer.status_code == 403, answer.text


@pytest.mark.calls("POST roles/create", "GET roles/get", "GET roles/list", "PATCH roles/update", "DELETE roles/delete")
def test_a_role_lives_and_dies(auth, name, refused):
    role = auth.create_role("default", f"Data Scientists {name}", "who trains")
    assert (role.name, role.workspace, role.description, role.permissions) == (
        f"Data Scientists {name}", "default", "who trains", [])
    refused("RESOURCE_ALREADY_EXISTS", auth.create_role, "default", role.name)
    assert auth.get_role(role.id).name == role.name
    assert role.id in [one.id for one in auth.list_roles("default")] and role.id in [one.id for one in auth.list_all_roles()]
    changed = auth.update_role(role.id, name=f"Trainers {name}")
    assert (changed.id, changed.name, changed.description) == (role.id, f"Trainers {name}", "who trains")
    assert auth.update_role(role.id, description="who trains models").description == "who trains models"
    other = auth.create_role("default", f"others {name}")
    refused("RESOURCE_ALREADY_EXISTS", auth.update_role, other.id, name=f"Trainers {name}")
    for wrong in ("", "  ", "__user_1__"):
        refused("INVALID_PARAMETER_VALUE", auth.create_role, "default", wrong)
    refused("INVALID_PARAMETER_VALUE", auth.update_role, role.id)
    auth.delete_role(role.id)
    for call in (auth.get_role, auth.delete_role, auth.list_role_permissions, auth.list_role_users):
        refused("RESOURCE_DOES_NOT_EXIST", call, role.id)
    refused("RESOURCE_DOES_NOT_EXIST", auth.add_role_permission, role.id, "experiment", "*", "READ")


@pytest.mark.bottega
def test_there_is_one_workspace(auth, name, refused):
    for call in ((auth.create_role, "other", name), (auth.list_roles, "other")):
        assert "workspace" in str(refused("FEATURE_DISABLED", *call))


@pytest.mark.calls("POST roles/permissions/add", "DELETE roles/permissions/remove", "GET roles/permissions/list",
                   "PATCH roles/permissions/update")
def test_what_a_role_permits(auth, experiment, model, name, refused):
    role = auth.create_role("default", name)
    one = auth.add_role_permission(role.id, "experiment", experiment, "READ")
    assert (one.role_id, one.resource_type, one.resource_pattern, one.permission) == (role.id, "experiment", experiment, "READ")
    refused("RESOURCE_ALREADY_EXISTS", auth.add_role_permission, role.id, "experiment", experiment, "EDIT")
    everywhere = auth.add_role_permission(role.id, "registered_model", "*", "USE")
    for level in LEVELS:
        changed = auth.update_role_permission(one.id, level)
        assert (changed.id, changed.permission) == (one.id, level)
    listed = {permission.id: permission.permission for permission in auth.list_role_permissions(role.id)}
    assert listed == {one.id: "DENY", everywhere.id: "USE"}
    assert {permission.id for permission in auth.get_role(role.id).permissions} == set(listed)
    auth.remove_role_permission(one.id)
    assert [permission.id for permission in auth.list_role_permissions(role.id)] == [everywhere.id]
    refused("RESOURCE_DOES_NOT_EXIST", auth.remove_role_permission, one.id)
    refused("RESOURCE_DOES_NOT_EXIST", auth.update_role_permission, one.id, "READ")
    refused("INVALID_PARAMETER_VALUE", auth.update_role_permission, everywhere.id, "NO_PERMISSIONS")
    refused("INVALID_PARAMETER_VALUE", auth.add_role_permission, role.id, "nonsense", "*", "READ")


@pytest.mark.calls("POST roles/assign", "DELETE roles/unassign", "GET users/roles/list", "GET roles/users/list")
def test_who_has_a_role(auth, experiment, user, name, refused):
    role = auth.create_role("default", name)
    auth.add_role_permission(role.id, "experiment", experiment, "MANAGE")
    assigned = auth.assign_role(user, role.id)
    assert (assigned.user_id, assigned.role_id) == (auth.get_user(user).id, role.id)
    refused("RESOURCE_ALREADY_EXISTS", auth.assign_role, user, role.id)
    refused("RESOURCE_DOES_NOT_EXIST", auth.assign_role, f"{user}-nobody", role.id)
    refused("RESOURCE_DOES_NOT_EXIST", auth.assign_role, user, 987654321)
    assert auth.get_user_permission(user, "experiment", experiment).permission == "MANAGE"
    assert [one.id for one in auth.list_user_roles(user) if one.name == name] == [role.id]
    assert [one.id for one in auth.list_role_users(role.id)] == [assigned.id]
    with acting(user):
        assert role.id in [one.id for one in auth.list_user_roles(user)]
        assert auth.get_role(role.id).name == name
        with pytest.raises(mlflow.MlflowException):
            auth.list_user_roles("admin")
        for call in ((auth.create_role, "default", f"{name}-2"), (auth.delete_role, role.id),
                     (auth.add_role_permission, role.id, "experiment", "*", "READ"), (auth.unassign_role, user, role.id)):
            with pytest.raises(mlflow.MlflowException):
                call[0](*call[1:])
    auth.unassign_role(user, role.id)
    refused("RESOURCE_DOES_NOT_EXIST", auth.unassign_role, user, role.id)
    assert auth.list_role_users(role.id) == []
    assert auth.get_user_permission(user, "experiment", experiment).permission in ("READ", "NO_PERMISSIONS")


@pytest.mark.bottega
def test_a_role_that_is_not_ones_own_is_not_told(auth, user, name, refused):
    role = auth.create_role("default", name)
    with acting(user):
        for one in (role.id, 987654321):
            refused("PERMISSION_DENIED", auth.get_role, one)
        refused("PERMISSION_DENIED", auth.list_all_roles)


@pytest.mark.bottega
def test_the_last_administrator_stays(auth, refused):
    said = refused("RESOURCE_CONFLICT", auth.update_user_admin, "admin", False)
    assert "last administrator" in str(said)


@pytest.mark.bottega
def test_a_disabled_administrator_is_dismissed_too(auth, raw, user):
    auth.update_user_admin(user, True)
    assert raw("PATCH", f"/api/v1/users/{user}", json={"disabled": True}).status_code == 200
    assert auth.get_user(user).is_admin is False
    auth.update_user_admin(user, False)
    assert raw("PATCH", f"/api/v1/users/{user}", json={"disabled": False}).status_code == 200
    assert auth.get_user(user).is_admin is False


@pytest.mark.bottega
@pytest.mark.parametrize("path", ["2.0/mlflow/scorers/permissions/create", "3.0/mlflow/workspaces", "2.0/mlflow/users/create-ui"])
def test_what_else_there_is_says_that_it_is_not_here(raw, path):
    answer = raw("POST", f"/api/{path}", json={})
    assert answer.status_code == 501 and answer.json()["error_code"] == "NOT_IMPLEMENTED", answer.text
