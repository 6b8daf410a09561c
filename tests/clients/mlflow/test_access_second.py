"""Users and permissions, by the client of MLflow 2. Against a real server as test_access.py."""

import mlflow
import pytest
from people import OTHER, PASSWORD, acting, admin

LEVELS = ["READ", "EDIT", "MANAGE", "NO_PERMISSIONS"]


@pytest.fixture
def auth():
    return admin()


@pytest.fixture
def user(auth, name):
    auth.create_user(name, PASSWORD)
    return name


def test_this_is_mlflow_2():
    assert mlflow.__version__.startswith("2.")


@pytest.mark.calls("POST users/create", "GET users/get", "PATCH users/update-admin", "PATCH users/update-password",
                   "DELETE users/delete")
def test_users(auth, client, name, refused):
    made = auth.create_user(name, PASSWORD)
    assert (made.username, made.is_admin, made.experiment_permissions, made.registered_model_permissions) == (name, False, [], [])
    refused("RESOURCE_ALREADY_EXISTS", auth.create_user, name, PASSWORD)
    auth.update_user_admin(name, True)
    assert auth.get_user(name).is_admin is True
    auth.update_user_admin(name, False)
    auth.update_user_password(name, OTHER)
    with acting(name, OTHER):
        assert auth.get_user(name).id == made.id
        client.search_experiments()
    auth.delete_user(name)
    refused("RESOURCE_DOES_NOT_EXIST", auth.get_user, name)


@pytest.mark.calls(
    "POST experiments/permissions/create", "GET experiments/permissions/get", "PATCH experiments/permissions/update",
    "DELETE experiments/permissions/delete")
def test_permissions_on_an_experiment(auth, client, experiment, user, refused):
    one = (experiment, user)
    refused("RESOURCE_DOES_NOT_EXIST", auth.get_experiment_permission, *one)
    refused("RESOURCE_DOES_NOT_EXIST", auth.update_experiment_permission, *one, "READ")
    refused("RESOURCE_DOES_NOT_EXIST", auth.delete_experiment_permission, *one)
    made = auth.create_experiment_permission(*one, "READ")
    assert (made.experiment_id, made.user_id, made.permission) == (experiment, auth.get_user(user).id, "READ")
    refused("RESOURCE_ALREADY_EXISTS", auth.create_experiment_permission, *one, "EDIT")
    for level in LEVELS:
        auth.update_experiment_permission(*one, level)
        assert auth.get_experiment_permission(*one).permission == level
        assert [(p.experiment_id, p.permission) for p in auth.get_user(user).experiment_permissions if p.experiment_id == experiment] == [(experiment, level)]
    auth.update_experiment_permission(*one, "EDIT")
    with acting(user):
        run = client.create_run(experiment)
        client.log_param(run.info.run_id, "a", 1)
        with pytest.raises(mlflow.MlflowException):
            client.delete_experiment(experiment)
        with pytest.raises(mlflow.MlflowException):
            auth.get_experiment_permission(*one)
    auth.update_experiment_permission(*one, "MANAGE")
    with acting(user):
        assert auth.get_experiment_permission(*one).permission == "MANAGE"
    auth.delete_experiment_permission(*one)
    refused("RESOURCE_DOES_NOT_EXIST", auth.get_experiment_permission, *one)
    refused("INVALID_PARAMETER_VALUE", auth.create_experiment_permission, *one, "OWN")
    refused("RESOURCE_DOES_NOT_EXIST", auth.create_experiment_permission, experiment, f"{user}-nobody", "READ")


@pytest.mark.calls(
    "POST registered-models/permissions/create", "GET registered-models/permissions/get",
    "PATCH registered-models/permissions/update", "DELETE registered-models/permissions/delete")
def test_permissions_on_a_model(auth, client, name, user, refused):
    model = client.create_registered_model(f"model-{name}").name
    one = (model, user)
    made = auth.create_registered_model_permission(*one, "EDIT")
    assert (made.name, made.permission) == (model, "EDIT")
    refused("RESOURCE_ALREADY_EXISTS", auth.create_registered_model_permission, *one, "EDIT")
    for level in LEVELS:
        auth.update_registered_model_permission(*one, level)
        assert auth.get_registered_model_permission(*one).permission == level
    auth.update_registered_model_permission(*one, "READ")
    with acting(user):
        assert client.get_registered_model(model).name == model
        with pytest.raises(mlflow.MlflowException):
            client.set_registered_model_tag(model, "a", "b")
    renamed = f"{model}-renamed"
    client.rename_registered_model(model, renamed)
    assert auth.get_registered_model_permission(renamed, user).permission == "READ"
    auth.delete_registered_model_permission(renamed, user)
    refused("RESOURCE_DOES_NOT_EXIST", auth.get_registered_model_permission, renamed, user)


@pytest.mark.bottega
def test_what_one_may_not_see_is_not_there(auth, experiment, user, refused):
    with acting(user):
        there = refused("RESOURCE_DOES_NOT_EXIST", auth.get_experiment_permission, experiment, user)
        absent = refused("RESOURCE_DOES_NOT_EXIST", auth.get_experiment_permission, "999999", user)
    assert str(there).replace(experiment, "999999") == str(absent)
    for call in ((auth.create_experiment_permission, "999999", user, "READ"),
                 (auth.create_registered_model_permission, f"none-{user}", user, "READ")):
        refused("RESOURCE_DOES_NOT_EXIST", *call)
